-- api_keys/revoke($1 key id, $2 its tenant or null, $3 actor as JSON text); an earlier time if it was revoked before
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
