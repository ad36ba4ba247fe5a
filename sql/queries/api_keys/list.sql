-- api_keys/list($1 tenant or null for all, $2 id below which or null, $3 most rows)
-- No portal sessions. Two plans, each with its index: one for both would walk the keys of all tenants for those of one.
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
from (
    (
        select x.id
        from api_keys as x
        where $1::uuid is null
            and x.scope is not null
            and x.id < coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
        order by x.id desc
        limit $3
    )
    union all
    (
        select x.id
        from api_keys as x
        where x.tenant_id = $1
            and x.scope is not null
            and x.id < coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
        order by x.tenant_id desc, x.id desc
        limit $3
    )
) as f
cross join lateral (
    select
        x.id,
        x.tenant_id,
        x.name,
        x.scope,
        x.created_at,
        x.expires_at,
        x.last_used_at,
        x.revoked_at
    from api_keys as x
    where x.id = f.id
    limit 1
) as k
left join lateral (
    select x.name, x.external_id
    from tenants as x
    where x.id = k.tenant_id
    limit 1
) as t on true
order by k.id desc;
