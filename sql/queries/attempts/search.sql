-- attempts/search($1 tenant or null for all; $2 subscriptions, $3 events, $4 event types, $5 outcomes, each null for all;
-- $6 succeeded or null; $7 status codes, $8 hundreds of their classes, each null for all; $9 smallest id, $10 id below
-- which; $11 most rows, $12 most rows to examine, $13 in how many milliseconds; $14 with payloads)
-- sql/functions/attempts/search.sql says how.
select
    f.is_found,
    f.id,
    f.tenant_id,
    f.subscription_id,
    a.event_id,
    a.event_type,
    a.attempt_number,
    a.trigger,
    a.outcome,
    a.status_code,
    a.error_message,
    a.response_body,
    a.remote_address,
    a.duration_ms,
    a.created_at,
    e.payload
from attempts_search_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) as f
left join lateral (
    select
        x.event_id,
        x.event_type,
        x.attempt_number,
        x.trigger,
        x.outcome,
        x.status_code,
        x.error_message,
        x.response_body,
        host(x.remote_address) as remote_address,
        coalesce(x.duration_ms, 0) as duration_ms,
        x.created_at
    from attempts as x
    where x.tenant_id = f.tenant_id
        and x.subscription_id = f.subscription_id
        and x.id = f.id
    limit 1
) as a on true
left join lateral (
    select x.payload
    from events as x
    where $14
        and x.tenant_id = f.tenant_id
        and x.id = a.event_id
    limit 1
) as e on true
order by f.is_found desc, f.id desc;
