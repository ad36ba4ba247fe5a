-- outbox/find($1 tenant, $2 id)
select
    o.event_type,
    octet_length(o.payload) as payload_bytes,
    o.subscription_id is null as fan_out,
    uuid_v7_time(o.id) as called_at,
    null as code,
    null as detail,
    null::uuid as duplicate_of
from outbox as o
where o.tenant_id = $1
    and o.id = $2
union all
select
    u.event_type,
    octet_length(u.payload) as payload_bytes,
    u.subscription_id is null as fan_out,
    uuid_v7_time(u.id) as called_at,
    u.code,
    u.detail,
    u.duplicate_of
from unpublished as u
where u.tenant_id = $1
    and u.id = $2
limit 1;
