-- analytics/retries_needed: how many attempts did a success need in the last 24 hours?
-- If many succeed only at the last attempts, the schedule is too short. `up_to_percent` is cumulative.
select
    t.external_id as tenant,
    a.tenant_id,
    a.attempt_number,
    count(*) as deliveries,
    round(100.0 * count(*) / sum(count(*)) over (partition by a.tenant_id), 1) as percent,
    round(
        100.0 * sum(count(*)) over (partition by a.tenant_id order by a.attempt_number)
        / sum(count(*)) over (partition by a.tenant_id),
        1
    ) as up_to_percent
from attempts as a
inner join tenants as t
    on t.id = a.tenant_id
where a.id >= uuid_v7_floor(now() - interval '24 hours')
    and a.outcome = 'delivered'
    and a.trigger is distinct from 'test'
    and case
        when current_setting('postrider.tenant', true) <> '' then t.external_id = current_setting('postrider.tenant', true)
        else true
    end
group by
    t.external_id,
    a.tenant_id,
    a.attempt_number
order by
    a.tenant_id,
    a.attempt_number;
