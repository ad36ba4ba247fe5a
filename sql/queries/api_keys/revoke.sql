-- api_keys/revoke($1 key id, $2 tenant that must own it or null for any, $3 actor as JSON text)
-- Returns when it was revoked before; null if just now. Replicas notice within a second.
with ended as (
    update api_keys
    set
        revoked_at = now(),
        changed_by = $3::text::jsonb
    where id = $1
        and ($2::uuid is null or tenant_id = $2)
        and revoked_at is null
)
select revoked_at as revoked_before
from api_keys
where id = $1
    and ($2::uuid is null or tenant_id = $2);
