-- deliveries/pick($1 tenant, $2 filters as in replays.selection, $3 event and $4 subscription below which, $5 most rows,
-- $6 most rows to examine, $7 in how many milliseconds)
select p.examined_event, p.examined_subscription, p.event_id, p.subscription_id
from deliveries_pick_1($1, $2::text::jsonb, $3, $4, $5, $6, $7) as p
order by p.event_id desc nulls last, p.subscription_id desc;
