-- subscriptions/targets($1 most rows)
-- Targets of the newest active subscriptions, of every tenant.
select s.target_url
from subscriptions as s
where s.is_active
    and s.deleted_at is null
order by s.id desc
limit $1::bigint;
