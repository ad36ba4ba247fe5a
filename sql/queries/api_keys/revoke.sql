-- api_keys/revoke($1 key id, $2 tenant that it must belong to, or null for any, $3 who revokes it, as JSON text)
-- Ends a key for good; every replica notices within a second. Returns when it was revoked
-- before, null for a key that lived until now; no row when it is unknown.
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
