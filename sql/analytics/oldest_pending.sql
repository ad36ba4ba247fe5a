-- analytics/oldest_pending: which 20 pending deliveries are the oldest?
-- `reason` says why a delivery is held. `next_attempt_at` is null while it is sent or held, or its worker is lost.
with oldest as (
    select
        t.external_id as tenant,
        d.event_id,
        d.subscription_id,
        d.status,
        d.reason,
        d.attempts,
        d.next_attempt_at,
        d.tenant_id
    from all_deliveries as d
    inner join tenants as t
        on t.id = d.tenant_id
    where d.status in ('pending', 'sending', 'held')
        and case
            when current_setting('postrider.tenant', true) <> '' then t.external_id = current_setting('postrider.tenant', true)
            else true
        end
    order by d.event_id
    limit 20
)
select
    o.tenant,
    o.tenant_id,
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
