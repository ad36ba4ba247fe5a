-- tenants/find($1 ids, $2 external ids)
select
    t.id,
    t.external_id,
    t.name,
    t.metadata::text as metadata,
    t.max_subscriptions,
    t.publish_per_second,
    t.schemas_changed_at,
    t.created_at,
    t.updated_at
from tenants as t
where t.id = any($1::uuid[])
    and t.deleted_at is null
union all
select
    t.id,
    t.external_id,
    t.name,
    t.metadata::text as metadata,
    t.max_subscriptions,
    t.publish_per_second,
    t.schemas_changed_at,
    t.created_at,
    t.updated_at
from tenants as t
where t.external_id = any($2::text[])
    and t.deleted_at is null;
