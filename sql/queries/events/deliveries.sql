-- events/deliveries($1 tenant, $2 event, $3 smallest id of its attempts, $4 statuses or null,
-- $5 subscription after which to start or null, $6 most rows)
select
    d.subscription_id,
    d.status,
    d.reason,
    d.attempts,
    d.next_attempt_at,
    newest.created_at as last_attempt_at,
    newest.error_message,
    s.external_id,
    s.target_url
from (
    select a.subscription_id, a.status, a.reason, a.attempts, a.next_attempt_at
    from all_deliveries as a
    where a.tenant_id = $1
        and a.event_id = $2
        and ($4::text[] is null or a.status = any($4))
        and ($5::uuid is null or a.subscription_id > $5)
    order by a.subscription_id
    limit $6
) as d
left join lateral attempts_newest_1($1, $2, d.subscription_id, $3) as newest
    on true
left join lateral (
    select x.external_id, x.target_url
    from subscriptions as x
    where x.tenant_id = $1
        and x.id = d.subscription_id
    limit 1
) as s
    on true
order by d.subscription_id;
