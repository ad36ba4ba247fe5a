-- analytics/retries_needed: how many attempts does a success take, of the last 24 hours?
-- If much succeeds only at the last attempts, the schedule is too short.
--   attempt_number  the attempt that was answered with a 2xx; 1 needed no retry
--   deliveries      how many succeeded with it
--   percent         of all successes, in percent
--   up_to_percent   of all successes, with this attempt or an earlier one, in percent
select
    a.attempt_number,
    count(*) as deliveries,
    round(100.0 * count(*) / sum(count(*)) over (), 1) as percent,
    round(100.0 * sum(count(*)) over (order by a.attempt_number) / sum(count(*)) over (), 1) as up_to_percent
from attempts as a
where a.id >= uuid_v7_floor(now() - interval '24 hours')
    and a.outcome = 'delivered'
group by a.attempt_number
order by a.attempt_number;
