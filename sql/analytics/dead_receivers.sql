-- analytics/dead_receivers: which receivers accepted nothing in the last 24 hours?
-- Most attempts first. `pending` counts deliveries that have not ended, which reads the queue once.
with failing as (
    select
        t.external_id as tenant,
        a.tenant_id,
        a.subscription_id,
        count(*) as attempts,
        min(a.created_at) as first_failure
    from attempts as a
    inner join tenants as t
        on t.id = a.tenant_id
    where a.id >= uuid_v7_floor(now() - interval '24 hours')
        and a.trigger is distinct from 'test'
        and case
            when current_setting('postrider.tenant', true) <> '' then t.external_id = current_setting('postrider.tenant', true)
            else true
        end
    group by
        t.external_id,
        a.tenant_id,
        a.subscription_id
    having bool_and(a.outcome <> 'delivered')
    order by attempts desc
    limit 100
),
waiting as (
    select
        d.subscription_id,
        count(*) as deliveries
    from deliveries as d
    where d.subscription_id in (select failing.subscription_id from failing)
    group by d.subscription_id
)
select
    f.tenant,
    f.tenant_id,
    f.subscription_id,
    s.target_url,
    s.is_active,
    s.disabled_reason,
    f.attempts,
    f.first_failure,
    newest.error_message as last_error,
    coalesce(w.deliveries, 0) as pending
from failing as f
inner join subscriptions as s
    on s.id = f.subscription_id
left join waiting as w
    on w.subscription_id = f.subscription_id
cross join lateral (
    select a.error_message
    from attempts as a
    where a.tenant_id = s.tenant_id
        and a.subscription_id = f.subscription_id
        and a.id >= uuid_v7_floor(now() - interval '24 hours')
        and a.trigger is distinct from 'test'
    order by a.id desc
    limit 1
) as newest
order by f.attempts desc;
