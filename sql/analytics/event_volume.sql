-- analytics/event_volume: how many events of each type arrived per hour in the last 24 hours?
-- `bytes` is the size of their payloads.
select
    date_trunc('hour', e.accepted_at) as hour,
    t.external_id as tenant,
    e.tenant_id,
    e.event_type,
    count(*) as events,
    sum(octet_length(e.payload)) as bytes
from events as e
inner join tenants as t
    on t.id = e.tenant_id
where e.id >= uuid_v7_floor(now() - interval '24 hours')
    and case
        when current_setting('postrider.tenant', true) <> '' then t.external_id = current_setting('postrider.tenant', true)
        else true
    end
group by
    hour,
    t.external_id,
    e.tenant_id,
    e.event_type
order by
    hour desc,
    events desc
limit 1000;
