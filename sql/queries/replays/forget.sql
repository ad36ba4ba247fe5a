-- replays/forget($1 seconds since their end)
with gone as (
    delete from replays as r
    where r.ended_at < now() - make_interval(secs => $1::double precision)
    returning 1
)
select count(*) as forgotten
from gone;
