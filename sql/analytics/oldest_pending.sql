-- analytics/oldest_pending: which deliveries have been under way for longest?
-- The 20 oldest. Reads the queue once, which holds only what is pending.
--   webhook_id, subscription_id, target_url
--   age              since the event was accepted
--   status, reason   pending, sending or held, and why it is held: disabled, ordered, breaker_open, retry_after,
--                    recovering, rate_limit or concurrency
--   attempts         made so far
--   next_attempt_at  when the next is due; null while one is under way, while it is held, and after its worker was lost
with oldest as (
    select
        d.event_id,
        d.subscription_id,
        d.status,
        d.reason,
        d.attempts,
        d.next_attempt_at,
        d.tenant_id
    from all_deliveries as d
    where d.status in ('pending', 'sending', 'held')
    order by d.event_id
    limit 20
)
select
    o.event_id as webhook_id,
    o.subscription_id,
    s.target_url,
    date_trunc('second', now() - e.accepted_at) as age,
    o.status,
    o.reason,
    o.attempts,
    o.next_attempt_at
from oldest as o
inner join subscriptions as s
    on s.tenant_id = o.tenant_id
    and s.id = o.subscription_id
left join events as e
    on e.tenant_id = o.tenant_id
    and e.id = o.event_id
order by o.event_id;
