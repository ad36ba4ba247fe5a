-- owners/keep($1 worker, $2 seconds of an ownership, $3 owned, $4 wanted and $5 their tenants, $6 those to count)
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
