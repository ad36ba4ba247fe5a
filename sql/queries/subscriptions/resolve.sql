-- subscriptions/resolve($1 tenant, $2 external id)
-- The id of the tenant's living subscription with this external id.
select id
from subscriptions
where tenant_id = $1
    and external_id = $2
    and deleted_at is null;
