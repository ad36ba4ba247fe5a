-- attempts/list($1 tenant, $2 subscription, $3 smallest id, $4 id below which, $5 succeeded or null, $6 event type or
-- null, $7 with payload, $8 most rows); ids contain the time, so both bounds select partitions
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
    e.payload
from attempts as a
left join events as e
    on $7
    and e.tenant_id = $1
    and e.id = a.event_id
where a.tenant_id = $1
    and a.subscription_id = $2
    and a.id >= $3
    and a.id < $4
    and ($5::boolean is null or (a.outcome = 'delivered') = $5)
    and ($6::text is null or a.event_type = $6)
order by a.id desc
limit $8;
