-- outbox/list($1 tenant or null for all; $2 subscriptions, $3 event types, $4 idempotency keys, $5 ordering keys, each null
-- for all; called $6 since and $7 until, or null; $8 bytes of the payload or null; $9 id below which; $10 most rows,
-- $11 most rows to examine, $12 in how many milliseconds)
-- Rows that wait, newest first; sql/functions/outbox/list.sql says how.
select
    f.examined_id,
    f.row_id as id,
    o.tenant_id,
    o.event_type,
    uuid_v7_time(f.row_id) as accepted_at,
    octet_length(o.payload) as payload_bytes,
    o.subscription_id is null as fan_out,
    o.idempotency_key,
    o.ordering_key,
    o.deliver_at,
    o.expires_at
from outbox_list_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) as f
left join lateral (
    select
        x.tenant_id, x.event_type, x.payload, x.subscription_id, x.idempotency_key, x.ordering_key, x.deliver_at,
        x.expires_at
    from outbox as x
    where x.id = f.row_id
    limit 1
) as o on true
order by f.row_id desc nulls last;
