-- replays/step($1 tenant, $2 replay, $3 lifetime of a delivery in seconds, $4 most events)
select s.written, s.may_go_on
from replays_step_1($1, $2, $3, $4) as s;
