-- deliveries/expire($1 events with a smaller id have expired, $2 event id after which to look, $3 most rows)
-- Ends deliveries whose time is over; sql/functions/deliveries/expire.sql says which.
select e.ended, e.looked_at, e.reached
from deliveries_expire_1($1, $2, $3) as e;
