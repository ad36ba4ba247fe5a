-- deliveries/retry($1 tenant, $2 event, $3 subscription or null, $4 lifetime in seconds, $5 most rows, $6 actor)
select r.retried, r.is_known
from deliveries_retry_1($1, $2, $3, $4, $5, $6::text::jsonb) as r;
