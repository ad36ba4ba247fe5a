-- tenants/end_subscriptions($1 tenant, $2 most, $3 version stamp, $4 most deliveries to count, $5 actor or null)
select e.ended, e.cancelled
from tenants_end_subscriptions_1($1, $2, $3, $4, $5::text::jsonb) as e;
