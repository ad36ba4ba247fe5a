-- replays/step($1 tenant, $2 replay, $3 lifetime in s, $4 start, $5 how many, $6 end, $7 is last, $8 chosen events)
select s.written, s.may_go_on
from replays_step_1($1, $2, $3, $4, $5, $6, $7, $8) as s;
