-- deliveries/record(
--   deliveries, one element each: $1 tenants, $2 events, $3 subscriptions, $4 lease tokens, $5 steps,
--     $6 delays in seconds, $7 changes of attempts, $8 changes of free attempts, $9 statuses or null,
--     $10 reasons or null, $11 versions of the subscriptions, $12 why the receiver disabled it or null;
--   attempts, one element each: $13 which delivery, $14 ids, $15 event types or null, $16 numbers, $17 outcomes,
--     $18 status codes or null, $19 messages or null, $20 bodies or null, $21 remote addresses or null,
--     $22 durations in ms, $23 times)
-- Records a batch of outcomes; sql/functions/deliveries/record.sql says how.
select r.recorded, r.disabled, r.failing
from deliveries_record_1(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23
) as r;
