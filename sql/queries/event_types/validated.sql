-- event_types/validated($1 tenant): those whose payloads are checked
select
    e.name,
    e.schema
from event_types as e
where e.tenant_id = $1
    and e.is_validated;
