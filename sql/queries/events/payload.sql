-- events/payload($1 tenant, $2 event)
select e.payload, e.content_type
from events as e
where e.tenant_id = $1
    and e.id = $2;
