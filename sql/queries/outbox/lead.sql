-- outbox/lead($1 process, $2 lease in seconds, $3 its most bytes of a payload, $4 its lifetime of a delivery in
-- seconds)
select l.is_mine, l.seconds_left
from outbox_lead_1($1, $2, $3, $4) as l;
