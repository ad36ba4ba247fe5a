-- tenants/end_subscriptions($1 tenant, $2 subscriptions at most, $3 version stamp, $4 deliveries to count at most,
--     $5 who deletes them, as JSON text, or null for postrider)
-- Deletes subscriptions of a deleted tenant softly. Returns how many, and how many deliveries that cancels, counted up to
-- $4 and one more.
select e.ended, e.cancelled
from tenants_end_subscriptions_1($1, $2, $3, $4, $5::text::jsonb) as e;
