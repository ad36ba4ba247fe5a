-- attempts/read($1 tenant, $2 attempt)
select
    r.tenant_id,
    r.subscription_id,
    r.id,
    r.event_id,
    r.event_type,
    r.attempt_number,
    r.trigger,
    r.outcome,
    r.status_code,
    r.error_message,
    r.response_body,
    r.remote_address,
    r.duration_ms,
    r.created_at,
    r.detail,
    null::bytea as payload
from attempts_read_1($1, $2) as r;
