-- events/accept($1 to $11 events, $12 to $15 deliveries, $16 lease token, $17 lease in seconds)
select a.changed, a.taken, a.taken_by, a.taken_by_same, a.released, a.outdated
from events_accept_1(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17
) as a;
