-- health/record(
--   subscriptions, one element each: $1 ids, $2 whether an attempt succeeded, $3 attempts that failed since,
--     $4 seconds to wait or null, $5 versions;
--   $6 failures in a row that open a breaker or 0, $7 least age of the first in seconds, $8 seconds to the first probe)
-- Counts the outcomes of attempts; sql/functions/health/record.sql says how.
select n.subscription_id, n.tenant_id, n.state
from health_record_1($1, $2, $3, $4, $5, $6, $7, $8) as n;
