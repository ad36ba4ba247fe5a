-- event_types/put($1 tenant, $2 new id, $3 name, $4 description, $5 schema, $6 example, $7 is deprecated, $8 is
-- validated, $9 changed_by); no row if the tenant is deleted
insert into event_types as e (
    tenant_id, id, name, description, schema, example, is_deprecated, is_validated, changed_by
)
select t.id, $2, $3, $4, $5, $6, $7, $8, $9::text::jsonb
from tenants as t
where t.id = $1
    and t.deleted_at is null
on conflict (tenant_id, name) do update
set
    description = excluded.description,
    schema = excluded.schema,
    example = excluded.example,
    is_deprecated = excluded.is_deprecated,
    is_validated = excluded.is_validated,
    changed_by = excluded.changed_by,
    updated_at = now()
returning
    e.id = $2 as is_new,
    e.id,
    e.name,
    e.description,
    e.schema,
    e.example,
    e.is_deprecated,
    e.is_validated,
    e.created_at,
    e.updated_at;
