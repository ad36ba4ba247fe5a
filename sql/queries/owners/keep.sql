-- owners/keep($1 worker, $2 seconds that an ownership lasts, $3 subscriptions that it owns,
--   $4 those that it wants, $5 with their tenants, $6 of which to count leases)
-- Prolongs and takes ownerships; sql/functions/owners/keep.sql says how.
select
    k.subscription_id,
    k.tenant_id,
    k.lasts,
    k.is_active,
    k.is_paced,
    k.rate_limit,
    k.max_in_flight,
    k.breaker,
    k.probes,
    k.width,
    k.wait_seconds,
    k.leased
from owners_keep_1($1, $2, $3, $4, $5, $6) as k;
