-- outbox/forget($1 seconds since they ended, $2 most rows)
with gone as (
    delete from unpublished as u
    where u.id = any(array(
        select x.id
        from unpublished as x
        where x.id < uuid_v7_floor(greatest(now() - make_interval(secs => $1::double precision), 'epoch'))
            and x.ended_at < now() - make_interval(secs => $1::double precision)
        order by x.id
        limit $2
        for update skip locked
    ))
    returning 1
)
select count(*) as forgotten
from gone;
