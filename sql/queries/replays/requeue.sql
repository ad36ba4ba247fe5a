-- replays/requeue($1 tenant, $2 replay, $3 lifetime in s, $4 event and $5 subscription at which it began, $6 event and
-- $7 subscription at which the next begins, $8 chosen events, $9 chosen subscriptions)
select r.written, r.may_go_on
from replays_requeue_1($1, $2, $3, $4, $5, $6, $7, $8, $9) as r;
