-- analytics/latency: how long do deliveries of the last 24 hours take, per hour and tenant?
-- Milliseconds from acceptance to the receiver's 2xx, retries included, by the hour of acceptance.
with arrived as (
    select
        date_trunc('hour', e.accepted_at) as hour,
        t.external_id as tenant,
        e.tenant_id,
        greatest(round(1000 * extract(epoch from a.created_at - e.accepted_at))::bigint + coalesce(a.duration_ms, 0), 0) as ms
    from events as e
    inner join tenants as t
        on t.id = e.tenant_id
    inner join attempts as a
        on a.tenant_id = e.tenant_id
        and a.event_id = e.id
        and a.outcome = 'delivered'
        and a.id >= uuid_v7_floor(now() - interval '24 hours')
    where e.id >= uuid_v7_floor(now() - interval '24 hours')
        and case
            when current_setting('postrider.tenant', true) <> '' then t.external_id = current_setting('postrider.tenant', true)
            else true
        end
)
select
    hour,
    tenant,
    tenant_id,
    count(*) as deliveries,
    percentile_disc(0.50) within group (order by ms) as p50_ms,
    percentile_disc(0.95) within group (order by ms) as p95_ms,
    percentile_disc(0.99) within group (order by ms) as p99_ms,
    max(ms) as max_ms
from arrived
group by
    hour,
    tenant,
    tenant_id
order by
    hour desc,
    deliveries desc
limit 1000;
