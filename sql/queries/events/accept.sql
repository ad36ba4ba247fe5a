-- events/accept(
--   events, one element each: $1 ids, $2 tenants, $3 types or null, $4 payloads, $5 sizes in bytes,
--     $6 idempotency keys or null, $7 fingerprints or null, $8 versions of the tenant's list or null,
--     $9 ordering keys or null, $10 not delivered before or null, $11 expire at or null;
--   deliveries, one element each: $12 which event, $13 subscriptions, $14 versions, $15 whether born leased;
--   $16 lease token, $17 lease in seconds)
-- Writes events with their deliveries; sql/functions/events/accept.sql says how.
select a.changed, a.taken, a.taken_by, a.taken_by_same, a.released, a.outdated
from events_accept_1(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17
) as a;
