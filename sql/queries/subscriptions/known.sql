-- subscriptions/known($1 tenant, $2 id); also finds deleted ones, because their logs remain
select deleted_at is not null as is_deleted
from subscriptions
where tenant_id = $1
    and id = $2;
