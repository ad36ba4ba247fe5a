-- attempts/log_test($1 tenant, $2 subscription, $3 attempt, $4 event, $5 type, $6 outcome, $7 status, $8 message,
-- $9 body, $10 remote address, $11 duration in ms, $12 start, $13 details)
-- Logs the attempt of a test event, which no other table knows.
insert into attempts as a (
    tenant_id, subscription_id, id, event_id, event_type, attempt_number, outcome, status_code, error_message,
    response_body, remote_address, duration_ms, created_at, trigger, detail
)
values ($1, $2, $3, $4, $5, 1, $6, $7, $8, $9, $10::text::inet, $11, $12, 'test', $13::text::jsonb)
returning
    a.tenant_id,
    a.subscription_id,
    a.id,
    a.event_id,
    a.event_type,
    a.attempt_number,
    a.trigger,
    a.outcome,
    a.status_code,
    a.error_message,
    a.response_body,
    host(a.remote_address) as remote_address,
    coalesce(a.duration_ms, 0) as duration_ms,
    a.created_at,
    a.detail::text as detail,
    null::bytea as payload;
