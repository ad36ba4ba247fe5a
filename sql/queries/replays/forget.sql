-- replays/forget($1 seconds since their end); plans of dry runs go after a day
with gone as (
    delete from replays as r
    where r.ended_at < now() - make_interval(secs => $1::double precision)
    returning 1
),
plans as (
    delete from replay_plans as p
    where p.id < uuid_v7_floor(now() - interval '1 day')
)
select count(*) as forgotten
from gone;
