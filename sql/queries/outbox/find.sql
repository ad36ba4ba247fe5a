-- outbox/find($1 tenant, $2 id)
-- What waits, was refused or is a duplicate.
select
    o.event_type,
    uuid_v7_time(o.id) as accepted_at,
    coalesce(octet_length(o.payload), 0) as payload_bytes,
    o.subscription_id is null as fan_out,
    o.idempotency_key,
    o.ordering_key,
    o.deliver_at,
    o.expires_at,
    null as code,
    null as detail,
    null::uuid as duplicate_of
from outbox as o
where o.tenant_id = $1
    and o.id = $2
union all
select
    u.event_type,
    uuid_v7_time(u.id) as accepted_at,
    coalesce(octet_length(u.payload), 0) as payload_bytes,
    u.subscription_id is null as fan_out,
    u.idempotency_key,
    u.ordering_key,
    u.deliver_at,
    u.expires_at,
    u.code,
    u.detail,
    u.duplicate_of
from unpublished as u
where u.tenant_id = $1
    and u.id = $2
limit 1;
