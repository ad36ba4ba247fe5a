-- rollups/read($1 source, $2 tenant, nil: all together, null: each, $3 subscription or null, $4 since, $5 until, $6 most
-- rows, $7 most tenants where each is read)
select
    r.at,
    r.tenant_id,
    r.subscription_id,
    r.event_type,
    r.outcome,
    r.accepted,
    r.attempts,
    r.delivered,
    r.started,
    r.first_attempt,
    r.delivery,
    r.more
from rollups_read_1($1, $2, $3, $4, $5, $6, $7) as r;
