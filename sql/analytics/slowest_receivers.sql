-- analytics/slowest_receivers: which 20 receivers responded most slowly in the last 24 hours?
-- By p95 of the duration of attempts in milliseconds, timeouts included.
select
    t.external_id as tenant,
    a.tenant_id,
    a.subscription_id,
    s.target_url,
    count(*) as attempts,
    percentile_disc(0.50) within group (order by a.duration_ms) as p50_ms,
    percentile_disc(0.95) within group (order by a.duration_ms) as p95_ms,
    percentile_disc(0.99) within group (order by a.duration_ms) as p99_ms,
    max(a.duration_ms) as max_ms
from attempts as a
inner join tenants as t
    on t.id = a.tenant_id
inner join subscriptions as s
    on s.id = a.subscription_id
where a.id >= uuid_v7_floor(now() - interval '24 hours')
    and a.duration_ms is not null
    and a.trigger is distinct from 'test'
    and case
        when current_setting('postrider.tenant', true) <> '' then t.external_id = current_setting('postrider.tenant', true)
        else true
    end
group by
    t.external_id,
    a.tenant_id,
    a.subscription_id,
    s.target_url
order by p95_ms desc
limit 20;
