-- refusals/forget($1 seconds since they were written, $2 most rows)
with gone as (
    delete from refusals as r
    where r.id = any(array(
        select x.id
        from refusals as x
        where x.id < uuid_v7_floor(greatest(now() - make_interval(secs => $1::double precision), 'epoch'))
        order by x.id
        limit $2
        for update skip locked
    ))
    returning 1
)
select count(*) as forgotten
from gone;
