-- event_types/delete($1 tenant, $2 name, $3 changed_by): a row if there was one
with deleted as (
    delete from event_types as e
    where e.tenant_id = $1
        and e.name = $2
    returning e.tenant_id, e.id, event_type_document(e) as document
)
select
    d.id,
    write_audit($3::text::jsonb, d.tenant_id, 'deleted', 'event_type', d.id, d.document, null)::text as audited
from deleted as d;
