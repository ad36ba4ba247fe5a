-- health/record($1 to $5 subscriptions, $6 failures that open a breaker, $7 their least age, $8 seconds to a probe)
select n.subscription_id, n.tenant_id, n.state
from health_record_1($1, $2, $3, $4, $5, $6, $7, $8) as n;
