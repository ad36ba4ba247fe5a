-- tenants/to_end($1 rows at most)
-- Deleted tenants whose subscriptions have not all ended.
select t.id
from tenants as t
where t.deleted_at is not null
    and t.subscription_count > 0
limit $1;
