-- api_keys/find($1 key id)
-- Whose key it is and what it may do; no row when it is unknown or revoked. Here the tenant
-- is what is asked for.
select
    tenant_id,
    scope,
    secret_hash
from api_keys
where id = $1
    and revoked_at is null;
