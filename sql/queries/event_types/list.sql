-- event_types/list($1 tenant, $2 id below which or null, $3 most rows)
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
    and e.id < coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
order by e.id desc
limit $3;
