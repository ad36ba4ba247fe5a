-- outbox/lead($1 process, $2 lease in seconds, $3 its most bytes of a payload)
select l.is_mine, l.seconds_left
from outbox_lead_1($1, $2, $3) as l;
