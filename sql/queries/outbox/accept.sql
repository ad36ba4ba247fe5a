-- outbox/accept($1 to $13 events, $14 to $17 deliveries, $18 lease token, $19 lease in seconds, $20 which events are
-- rows of the outbox)
select a.changed, a.taken, a.taken_by, a.taken_by_same, a.released, a.outdated, a.gone
from outbox_accept_1(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20
) as a;
