-- api_keys/list($1 tenant or null for all, $2 id below which or null, $3 most rows)
select
    k.id,
    k.tenant_id,
    t.name as tenant_name,
    t.external_id as tenant_external_id,
    k.name,
    k.scope,
    k.created_at,
    k.expires_at,
    k.last_used_at,
    k.revoked_at
from api_keys as k
left join tenants as t
    on t.id = k.tenant_id
where ($1::uuid is null or k.tenant_id = $1)
    and k.id < coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
order by k.id desc
limit $3;
