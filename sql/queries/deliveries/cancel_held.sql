-- deliveries/cancel_held($1 tenant, $2 subscription, $3 most rows, $4 actor)
select c.cancelled, c.group_subscriptions, c.group_keys
from deliveries_cancel_held_1($1, $2, $3, $4::text::jsonb) as c;
