-- idempotency_keys/find($1 tenants, $2 keys)
-- What these keys stand for. Run as a statement of its own after an accept found them
-- taken, so that it sees what the winner committed in between.
select k.tenant_id, k.key, k.event_id, k.fingerprint
from unnest($1::uuid[], $2::text[]) as asked (tenant_id, key)
inner join idempotency_keys as k
    on k.tenant_id = asked.tenant_id
    and k.key = asked.key;
