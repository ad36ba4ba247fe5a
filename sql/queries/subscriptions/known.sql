-- subscriptions/known($1 tenant, $2 id)
-- One row when the tenant has, or had, this subscription: its logs outlive its deletion.
select deleted_at is not null as is_deleted
from subscriptions
where tenant_id = $1
    and id = $2;
