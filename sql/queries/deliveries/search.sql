-- deliveries/search($1 tenant or null for all; $2 subscriptions, $3 statuses, $4 reasons, $5 event types, each null for
-- all; accepted $6 since and $7 until, or null; $8 event and $9 subscription below which; $10 most rows, $11 most rows
-- to examine, $12 in how many milliseconds); sql/functions/deliveries/search.sql says how
select
    f.examined_event,
    f.examined_subscription,
    f.tenant_id,
    f.event_id,
    f.subscription_id,
    e.event_type,
    s.external_id,
    s.target_url,
    d.status,
    d.reason,
    d.attempts,
    newest.outcome as last_outcome,
    newest.status_code as last_status_code,
    newest.error_message,
    e.accepted_at,
    newest.created_at as last_attempt_at,
    d.next_attempt_at
from deliveries_search_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) as f
left join lateral (
    select x.event_type, x.accepted_at
    from events as x
    where x.tenant_id = f.tenant_id
        and x.id = f.event_id
    limit 1
) as e on true
left join lateral (
    select x.external_id, x.target_url
    from subscriptions as x
    where x.tenant_id = f.tenant_id
        and x.id = f.subscription_id
    limit 1
) as s on true
left join lateral (
    select x.status, x.reason, x.attempts, x.next_attempt_at
    from all_deliveries as x
    where x.tenant_id = f.tenant_id
        and x.event_id = f.event_id
        and x.subscription_id = f.subscription_id
    limit 1
) as d on true
left join lateral attempts_newest_1(
    f.tenant_id, f.event_id, f.subscription_id, uuid_v7_floor(uuid_v7_time(f.event_id) - interval '10 minutes')
) as newest on f.event_id is not null
order by f.event_id desc nulls last, f.subscription_id desc;
