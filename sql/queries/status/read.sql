-- status/read($1 tenant, $2 event, $3 smallest id of its attempts, $4 subscription to start after, $5 most
-- deliveries)
-- Attempts are found by event, because a subscription's log may be long.
with every as materialized (
    select d.subscription_id, d.status, d.reason, d.attempts, d.next_attempt_at
    from all_deliveries as d
    where d.tenant_id = $1
        and d.event_id = $2
),
page as (
    select d.subscription_id, d.status, d.reason, d.attempts, d.next_attempt_at
    from every as d
    where $4::uuid is null
        or d.subscription_id > $4
    order by d.subscription_id
    limit $5
),
total as (
    select
        array_agg(distinct d.status) as statuses,
        coalesce(sum(d.attempts), 0)::bigint as attempts,
        min(d.next_attempt_at) as next_attempt_at
    from every as d
),
newest as (
    select a.created_at, a.error_message
    from attempts as a
    where a.tenant_id = $1
        and a.event_id = $2
        and a.id >= $3
    order by
        a.created_at desc,
        a.id desc
    limit 1
)
select
    e.event_type,
    e.accepted_at,
    total.statuses as event_statuses,
    total.attempts as event_attempts,
    total.next_attempt_at as event_next_attempt_at,
    newest.created_at as event_last_attempt_at,
    newest.error_message as event_error_message,
    d.subscription_id,
    d.status,
    d.reason,
    d.attempts,
    d.next_attempt_at,
    last.created_at as last_attempt_at,
    last.error_message,
    s.external_id,
    s.target_url
from events as e
cross join total
left join newest
    on true
left join page as d
    on true
left join lateral attempts_newest_1($1, $2, d.subscription_id, $3) as last
    on d.subscription_id is not null
left join lateral (
    select x.external_id, x.target_url
    from subscriptions as x
    where x.tenant_id = $1
        and x.id = d.subscription_id
    limit 1
) as s
    on true
where e.tenant_id = $1
    and e.id = $2
order by d.subscription_id;
