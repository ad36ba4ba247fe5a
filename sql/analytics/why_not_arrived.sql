-- analytics/why_not_arrived: what happened to this event, and where does it stand?
-- Takes the webhook_id of the 202:
--   psql "$DATABASE_URL" -v webhook_id=WEBHOOK_ID -f sql/analytics/why_not_arrived.sql
-- One line for each thing that happened, oldest first, and one for the state of each delivery.
--   at               when it happened; for the state, when the next attempt is due, null while it is held or under way
--   subscription_id  null for the event itself
--   what             accepted, attempt and its number, or the state of the delivery
--   detail           type and size of the event; what the attempt met; the reason of the state
-- An attempt is dated by its worker's clock, which may differ from the database's by milliseconds.
-- An attempt's id begins with its time and cannot be much older than the event's.
with history as (
    select
        e.accepted_at as at,
        null::uuid as subscription_id,
        'accepted' as what,
        concat_ws(', ', e.event_type, octet_length(e.payload) || ' bytes') as detail,
        1 as part
    from events as e
    where e.id = :'webhook_id'::uuid
    union all
    select
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
        d.next_attempt_at,
        d.subscription_id,
        d.status,
        d.reason,
        3
    from all_deliveries as d
    where d.event_id = :'webhook_id'::uuid
)
select
    at,
    subscription_id,
    what,
    detail
from history
order by
    part,
    at,
    what;
