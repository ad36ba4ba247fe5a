-- subscriptions/resolve($1 tenant, $2 external ids)
select id
from subscriptions
where tenant_id = $1
    and external_id = any($2)
    and deleted_at is null;
