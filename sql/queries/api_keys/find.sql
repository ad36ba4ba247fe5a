-- api_keys/find($1 key ids): live ones only
select
    k.id,
    k.tenant_id,
    k.scope,
    k.capabilities,
    k.secret_hash,
    k.expires_at
from api_keys as k
left join tenants as t
    on t.id = k.tenant_id
where k.id = any($1::uuid[])
    and k.revoked_at is null
    and (k.expires_at is null or k.expires_at > now())
    and (k.tenant_id is null or t.deleted_at is null);
