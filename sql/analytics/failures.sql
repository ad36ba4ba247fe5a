-- analytics/failures: why did attempts fail in the last 24 hours?
-- Most frequent first; docs/retries.md explains the outcomes. `status_code` is null without a response.
select
    a.outcome,
    a.status_code,
    count(*) as attempts,
    count(distinct a.subscription_id) as subscriptions,
    max(a.created_at) as latest
from attempts as a
where a.id >= uuid_v7_floor(now() - interval '24 hours')
    and a.outcome <> 'delivered'
    and a.trigger is distinct from 'test'
group by
    a.outcome,
    a.status_code
order by attempts desc
limit 100;
