-- subscriptions/changed($1 tenant, $2 version of a list, $3 ids): changed since then, and these ids, as they are now
-- Returns one row without a subscription if there is none, and no row for a missing id.
select
    t.subscriptions_version,
    s.deleted_at is not null as is_deleted,
    s.id,
    s.version,
    s.event_types,
    s.filter,
    s.is_active,
    s.is_ordered
from tenants as t
left join lateral (
    select x.id
    from subscriptions as x
    -- Not by the primary key, which has all subscriptions of the tenant.
    where uuid_hash_extended(x.tenant_id, 0) = uuid_hash_extended(t.id, 0)
        and x.tenant_id is not distinct from t.id
        and x.listed_version > $2
    union
    select asked.id
    from unnest($3::uuid[]) as asked (id)
) as c on true
left join lateral (
    select x.id, x.version, x.event_types, x.filter, x.is_active, x.is_ordered, x.deleted_at
    from subscriptions as x
    where x.tenant_id = t.id
        and x.id = c.id
    limit 1
) as s on true
where t.id = $1;
