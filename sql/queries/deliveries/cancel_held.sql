-- deliveries/cancel_held($1 tenant, $2 subscription, $3 most rows)
-- Ends held deliveries of a subscription as cancelled, whatever they are held for. Returns
-- how many, and the lines whose head may have ended.
with ended as (
    delete from deliveries as d
    where d.ctid = any(array(
        select x.ctid
        from deliveries as x
        where x.subscription_id = $2
            and x.next_attempt_at = 'infinity'
            and x.tenant_id = $1
        order by x.held_for, x.event_id
        limit $3
        for update skip locked
    ))
    returning d.event_id, d.attempts, d.ordering_key
),
buried as (
    insert into undelivered (tenant_id, event_id, subscription_id, status, reason, attempts)
    select $1, ended.event_id, $2, 'cancelled', 'requested', ended.attempts
    from ended
    order by ended.event_id
    on conflict (tenant_id, event_id, subscription_id) do update
    set
        status = excluded.status,
        reason = excluded.reason,
        attempts = excluded.attempts,
        ended_at = now()
)
select
    (select count(*) from ended) as cancelled,
    array(select $2::uuid from ended where ended.ordering_key is not null group by ended.ordering_key)
        as line_subscriptions,
    array(
        select ended.ordering_key
        from ended
        where ended.ordering_key is not null
        group by ended.ordering_key
        order by ended.ordering_key
    ) as line_keys;
