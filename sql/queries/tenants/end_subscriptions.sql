-- tenants/end_subscriptions($1 tenant, $2 most subscriptions, $3 version stamp, $4 most deliveries to count,
-- $5 actor as JSON text or null for postrider)
select e.ended, e.cancelled
from tenants_end_subscriptions_1($1, $2, $3, $4, $5::text::jsonb) as e;
