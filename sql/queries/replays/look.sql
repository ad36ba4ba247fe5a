-- replays/look($1 tenant, $2 replay, $3 most events)
select
    l.room,
    l.reached,
    l.looked_to,
    l.is_last,
    l.event_ids,
    l.event_types,
    l.endings,
    l.statuses,
    l.replayed_types,
    l.wanted_types,
    l.filter
from replays_look_1($1, $2, $3) as l;
