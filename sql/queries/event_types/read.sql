-- event_types/read($1 tenant, $2 name)
select
    e.id,
    e.name,
    e.description,
    e.schema,
    e.example,
    e.is_deprecated,
    e.is_validated,
    e.created_at,
    e.updated_at
from event_types as e
where e.tenant_id = $1
    and e.name = $2;
