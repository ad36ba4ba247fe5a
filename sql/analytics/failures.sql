-- analytics/failures: why did attempts fail in the last 24 hours?
-- Most frequent first; docs/retries.md explains the outcomes. `status_code` is null without a response.
select
    t.external_id as tenant,
    a.tenant_id,
    a.outcome,
    a.status_code,
    count(*) as attempts,
    count(distinct a.subscription_id) as subscriptions,
    max(a.created_at) as latest
from attempts as a
inner join tenants as t
    on t.id = a.tenant_id
where a.id >= uuid_v7_floor(now() - interval '24 hours')
    and a.outcome <> 'delivered'
    and a.trigger is distinct from 'test'
    and case
        when current_setting('postrider.tenant', true) <> '' then t.external_id = current_setting('postrider.tenant', true)
        else true
    end
group by
    t.external_id,
    a.tenant_id,
    a.outcome,
    a.status_code
order by attempts desc
limit 100;
