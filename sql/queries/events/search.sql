-- events/search($1 tenant or null for all; $2 subscriptions, $3 statuses, $4 event types, $5 idempotency keys,
-- $6 ordering keys, each null for all; accepted $7 since and $8 until, or null; $9 bytes of the payload or null; $10 event
-- below which; $11 most rows, $12 most rows to examine, $13 in how many milliseconds; $14 most deliveries to count)
-- sql/functions/events/search.sql says how.
select
    f.examined_event,
    f.tenant_id,
    f.event_id,
    f.status,
    e.event_type,
    e.accepted_at,
    e.payload_bytes,
    e.fan_out,
    e.ordering_key,
    e.deliver_at,
    e.expires_at,
    k.key as idempotency_key,
    c.pending,
    c.sending,
    c.held,
    c.succeeded,
    c.failed,
    c.cancelled,
    c.expired,
    c.skipped,
    c.more
from events_search_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) as f
left join lateral (
    select
        x.event_type,
        x.accepted_at,
        octet_length(x.payload) as payload_bytes,
        x.fan_out is not null as fan_out,
        x.ordering_key,
        x.deliver_at,
        x.expires_at
    from events as x
    where x.tenant_id = f.tenant_id
        and x.id = f.event_id
    limit 1
) as e on true
left join lateral (
    select x.key
    from idempotency_keys as x
    where x.event_id = f.event_id
        and x.tenant_id = f.tenant_id
    limit 1
) as k on true
left join lateral events_counts_1(
    f.tenant_id, f.event_id, uuid_v7_floor(uuid_v7_time(f.event_id) - interval '10 minutes'), $14
) as c on f.event_id is not null
order by f.event_id desc nulls last;
