-- api_keys/list($1 tenant name, or null for all)
-- Every key that was ever made, oldest first, revoked ones too.
select
    t.name as tenant,
    k.id,
    k.scope,
    k.created_at,
    k.last_used_at,
    k.revoked_at
from api_keys as k
inner join tenants as t
    on t.id = k.tenant_id
where $1::text is null
    or t.name = $1
order by k.id;
