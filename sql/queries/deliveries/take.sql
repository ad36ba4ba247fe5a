-- deliveries/take($1 lease token, $2 lease in seconds, $3 worker, $4 whether to take lapsed leases, $5 most bytes;
-- $6 to $10 subscriptions, as the function names them)
select
    t.tenant_id,
    t.event_id,
    t.subscription_id,
    t.attempts,
    t.free_attempts,
    t.ordering_key,
    t.expires_at,
    t.is_cancelled,
    t.was_due,
    t.is_cut_off,
    t.taken_at,
    t.is_cut_short,
    t.event_type,
    t.payload,
    t.is_deleted,
    t.target_url,
    t.secret,
    t.older_secrets,
    t.older_until,
    t.sealed_headers,
    t.retry_schedule,
    t.request_timeout_ms,
    t.version,
    t.skip_after_attempts
from deliveries_take_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) as t;
