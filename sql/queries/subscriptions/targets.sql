-- subscriptions/targets($1 most rows)
select s.target_url
from subscriptions as s
where s.is_active
    and s.deleted_at is null
order by s.id desc
limit $1::bigint;
