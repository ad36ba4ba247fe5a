-- event_types/put($1 tenant, $2 new id, $3 name, $4 description, $5 schema, $6 example, $7 is deprecated, $8 is
-- validated, $9 changed_by, $10 most types, $11 most validated)
-- One row; without an id if one of both limits is reached, and then how many other types there are. Requests at the same
-- moment may exceed a limit by their number.
with others as (
    select
        count(*) as names,
        count(*) filter (where o.is_validated) as validated
    from event_types as o
    where o.tenant_id = $1
        and o.name <> $3
), written as (
    insert into event_types (
        tenant_id, id, name, description, schema, example, is_deprecated, is_validated, changed_by
    )
    select t.id, $2, $3, $4, $5, $6, $7, $8, $9::text::jsonb
    from tenants as t
    cross join others as o
    where t.id = $1
        and t.deleted_at is null
        and o.names < $10::bigint
        and (not $8 or o.validated < $11::bigint)
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
        id, name, description, schema, example, is_deprecated, is_validated, created_at, updated_at
)
select
    o.names,
    o.validated,
    e.id = $2 as is_new,
    e.id,
    e.name,
    e.description,
    e.schema,
    e.example,
    e.is_deprecated,
    e.is_validated,
    e.created_at,
    e.updated_at
from others as o
left join written as e on true;
