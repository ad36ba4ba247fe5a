-- events/read($1 tenant, $2 event)
select
    e.event_type,
    e.accepted_at,
    octet_length(e.payload) as payload_bytes,
    e.fan_out is not null as fan_out,
    e.about,
    k.key as idempotency_key,
    e.ordering_key,
    e.deliver_at,
    e.expires_at,
    counted.status,
    counted.deliveries
from events as e
left join lateral (
    select x.key
    from idempotency_keys as x
    where x.event_id = $2
        and x.tenant_id = $1
    limit 1
) as k on true
left join (
    select d.status, count(*) as deliveries
    from all_deliveries as d
    where d.tenant_id = $1
        and d.event_id = $2
    group by d.status
) as counted
    on true
where e.tenant_id = $1
    and e.id = $2
order by counted.status;
