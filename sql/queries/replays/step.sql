-- replays/step($1 tenant, $2 replay, $3 lifetime of a delivery in seconds; of the look: $4 where it began, $5 how many may
--     be requeued, $6 where it ended, $7 whether it is the last; $8 chosen events)
-- Requeues the chosen events of a replay; sql/functions/replays/step.sql says how.
select s.written, s.may_go_on
from replays_step_1($1, $2, $3, $4, $5, $6, $7, $8) as s;
