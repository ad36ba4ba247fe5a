-- analytics/failures: what did attempts fail on, of the last 24 hours?
-- Most frequent first. docs/retries.md explains the outcomes.
--   outcome, status_code  what the attempt met; the code is null where no answer came
--   attempts              how many met it
--   subscriptions         how many subscriptions they were made for
--   latest                when the last of them began
select
    a.outcome,
    a.status_code,
    count(*) as attempts,
    count(distinct a.subscription_id) as subscriptions,
    max(a.created_at) as latest
from attempts as a
where a.id >= uuid_v7_floor(now() - interval '24 hours')
    and a.outcome <> 'delivered'
group by
    a.outcome,
    a.status_code
order by attempts desc
limit 100;
