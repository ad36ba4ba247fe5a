-- health/record($1 to $5 subscriptions, as the function names them; $6 failures that open a breaker or 0,
-- $7 least age of the first in seconds, $8 seconds to the first probe)
select n.subscription_id, n.tenant_id, n.state
from health_record_1($1, $2, $3, $4, $5, $6, $7, $8) as n;
