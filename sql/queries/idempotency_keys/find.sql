-- idempotency_keys/find($1 tenants, $2 keys); runs after accept; "lateral … limit 1" fixes the join order
select k.tenant_id, k.key, k.event_id, k.fingerprint
from unnest($1::uuid[], $2::text[]) as asked (tenant_id, key)
cross join lateral (
    select x.tenant_id, x.key, x.event_id, x.fingerprint
    from idempotency_keys as x
    where x.tenant_id = asked.tenant_id
        and x.key = asked.key
    limit 1
) as k;
