-- analytics/why_not_arrived: what happened to this event, and what is its status?
-- psql "$DATABASE_URL" -v webhook_id=WEBHOOK_ID -f sql/analytics/why_not_arrived.sql
-- Lists what happened, oldest first, then the state of each delivery; its time is that of the next attempt.
with history as (
    select
        e.tenant_id,
        e.accepted_at as at,
        null::uuid as subscription_id,
        'accepted' as what,
        concat_ws(', ', e.event_type, octet_length(e.payload) || ' bytes') as detail,
        1 as part
    from events as e
    where e.id = :'webhook_id'::uuid
    union all
    select
        a.tenant_id,
        a.created_at,
        a.subscription_id,
        'attempt ' || a.attempt_number,
        concat(coalesce(a.error_message, a.outcome || ': the receiver answered ' || a.status_code), ' (' || a.duration_ms || ' ms)'),
        2
    from attempts as a
    where a.event_id = :'webhook_id'::uuid
        and a.id >= uuid_v7_floor(
            to_timestamp(('x0000' || left(replace(:'webhook_id', '-', ''), 12))::bit(64)::bigint / 1000.0) - interval '10 minutes'
        )
    union all
    select
        d.tenant_id,
        d.next_attempt_at,
        d.subscription_id,
        d.status,
        d.reason,
        3
    from all_deliveries as d
    where d.event_id = :'webhook_id'::uuid
)
select
    t.external_id as tenant,
    h.tenant_id,
    h.at,
    h.subscription_id,
    h.what,
    h.detail
from history as h
inner join tenants as t
    on t.id = h.tenant_id
order by
    h.part,
    h.at,
    h.what;
