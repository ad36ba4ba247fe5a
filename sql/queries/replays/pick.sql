-- replays/pick($1 tenant, $2 replay, $3 most deliveries, $4 most rows to examine, $5 in how many milliseconds)
select
    p.room,
    p.is_to_matching,
    p.selection::text as selection,
    p.began_event,
    p.began_subscription,
    p.looked_event,
    p.looked_subscription,
    p.event_ids,
    p.subscription_ids
from replays_pick_1($1, $2, $3, $4, $5) as p;
