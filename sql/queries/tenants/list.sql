-- tenants/list($1 text or null, $2 id below which or null, $3 most rows, $4 most rows to examine)
-- If $4 ends it, `examined_to` is the last id examined, and there is at least one row, perhaps without a tenant.
with examined as materialized (
    select
        t.id,
        t.deleted_at is null
        and ($1::text is null or position($1 in lower(t.name || ' ' || coalesce(t.external_id, ''))) > 0) as is_found
    from tenants as t
    where t.id < coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
    order by t.id desc
    limit $4
)
select
    e.examined_to,
    t.id,
    t.external_id,
    t.name,
    t.metadata::text as metadata,
    t.max_subscriptions,
    t.publish_per_second,
    t.created_at,
    t.updated_at
from (
    select case when (select count(*) from examined) = $4 then (select x.id from examined as x order by x.id limit 1) end
        as examined_to
) as e
left join lateral (
    select f.id
    from examined as f
    where f.is_found
    order by f.id desc
    limit $3
) as f on true
left join tenants as t
    on t.id = f.id
where e.examined_to is not null
    or t.id is not null
order by t.id desc;
