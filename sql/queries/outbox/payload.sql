-- outbox/payload($1 tenant, $2 id)
-- Of a row that waits or was refused.
select o.payload
from outbox as o
where o.tenant_id = $1
    and o.id = $2
union all
select u.payload
from unpublished as u
where u.tenant_id = $1
    and u.id = $2
    and u.payload is not null
limit 1;
