-- analytics/slowest_receivers: which receivers take longest to answer, of the last 24 hours?
-- The 20 slowest by p95; attempts that no answer ended count with the time they took.
--   subscription_id, target_url
--   attempts                     how many were measured
--   p50_ms, p95_ms, p99_ms, max_ms  duration of an attempt, in milliseconds
select
    a.subscription_id,
    s.target_url,
    count(*) as attempts,
    percentile_disc(0.50) within group (order by a.duration_ms) as p50_ms,
    percentile_disc(0.95) within group (order by a.duration_ms) as p95_ms,
    percentile_disc(0.99) within group (order by a.duration_ms) as p99_ms,
    max(a.duration_ms) as max_ms
from attempts as a
inner join subscriptions as s
    on s.id = a.subscription_id
where a.id >= uuid_v7_floor(now() - interval '24 hours')
    and a.duration_ms is not null
group by
    a.subscription_id,
    s.target_url
order by p95_ms desc
limit 20;
