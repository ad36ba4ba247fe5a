-- analytics/retries_needed: how many attempts did a success need in the last 24 hours?
-- If many succeed only at the last attempts, the schedule is too short. `up_to_percent` is cumulative.
select
    a.attempt_number,
    count(*) as deliveries,
    round(100.0 * count(*) / sum(count(*)) over (), 1) as percent,
    round(100.0 * sum(count(*)) over (order by a.attempt_number) / sum(count(*)) over (), 1) as up_to_percent
from attempts as a
where a.id >= uuid_v7_floor(now() - interval '24 hours')
    and a.outcome = 'delivered'
    and a.trigger is distinct from 'test'
group by a.attempt_number
order by a.attempt_number;
