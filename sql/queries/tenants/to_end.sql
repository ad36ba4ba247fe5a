-- tenants/to_end($1 most rows): deleted ones with live subscriptions
select t.id
from tenants as t
where t.deleted_at is not null
    and t.subscription_count > 0
limit $1;
