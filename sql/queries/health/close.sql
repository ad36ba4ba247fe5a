-- health/close($1 owner, $2 subscription)
-- The owner of a pace closes the breaker of a subscription that has recovered. The subscription is locked before its
-- health, as whoever changes one does it. No row while rows are parked that
-- were claimed before it opened, or when
-- it is no longer the owner or the breaker is another by now.
with locked as materialized (
    select s.id
    from subscriptions as s
    where s.id = $2::uuid
    for no key update
)
delete from subscription_health as h
where h.subscription_id = (select locked.id from locked)
    and h.state = 'recovering'
    and not exists (
        select 1
        from deliveries as d
        where d.subscription_id = $2::uuid
            and d.held_for = 'in_flight'
            and d.next_attempt_at = 'infinity'
    )
    and exists (
        select 1
        from paces as p
        where p.subscription_id = $2::uuid
            and p.owner = $1::uuid
    )
returning h.subscription_id;
