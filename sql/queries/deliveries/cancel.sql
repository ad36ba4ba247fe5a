-- deliveries/cancel($1 tenant, $2 event, $3 subscription or null, $4 most rows, $5 actor)
select c.cancelled, c.sending, c.is_known, c.group_subscriptions, c.group_keys
from deliveries_cancel_1($1, $2, $3, $4, $5::text::jsonb) as c;
