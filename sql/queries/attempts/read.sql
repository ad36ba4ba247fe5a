-- attempts/read($1 tenant, $2 attempt)
-- The id selects the partition, its BRIN index a few pages. The tenant is compared outside, so that the plan never
-- walks all of the tenant's keys.
select
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
    null::bytea as payload
from (
    select
        x.tenant_id,
        x.subscription_id,
        x.id,
        x.event_id,
        x.event_type,
        x.attempt_number,
        x.trigger,
        x.outcome,
        x.status_code,
        x.error_message,
        x.response_body,
        x.remote_address,
        x.duration_ms,
        x.created_at,
        x.detail
    from attempts as x
    where x.id = $2
    offset 0
) as a
where a.tenant_id = $1;
