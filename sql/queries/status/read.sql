-- status/read($1 tenant, $2 event, $3 smallest id its attempts can have)
-- The event, once for each of its deliveries and each with its newest attempt; one row
-- without a delivery when nobody wanted it; no row when it is unknown, expired or another
-- tenant's. Attempts are found by event: a walk down a busy subscription's log would be long.
select
    e.event_type,
    e.accepted_at,
    d.subscription_id,
    d.status,
    d.reason,
    d.attempts,
    d.next_attempt_at,
    newest.created_at as last_attempt_at,
    newest.error_message
from events as e
left join all_deliveries as d
    on d.tenant_id = $1
    and d.event_id = $2
left join (
    select distinct on (a.subscription_id)
        a.subscription_id,
        a.created_at,
        a.error_message
    from attempts as a
    where a.tenant_id = $1
        and a.event_id = $2
        and a.id >= $3
    order by
        a.subscription_id,
        a.id desc
) as newest
    on newest.subscription_id = d.subscription_id
where e.tenant_id = $1
    and e.id = $2
order by d.subscription_id;
