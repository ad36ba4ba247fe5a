-- deliveries/expire($1 smallest id of an unexpired event, $2 event id after which to start, $3 most rows)
select e.ended, e.looked_at, e.reached
from deliveries_expire_1($1, $2, $3) as e;
