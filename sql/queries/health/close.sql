-- health/close($1 owner, $2 subscriptions)
-- Closes the breakers of subscriptions that have recovered, by decision of their owner. A subscription is locked
-- before its health, as everywhere. No row for one that the worker no longer owns, or whose breaker is another by now.
with locked as materialized (
    select s.id
    from subscriptions as s
    where s.id = any($2::uuid[])
    order by s.id
    for no key update
)
delete from subscription_health as h
where h.subscription_id in (select locked.id from locked)
    and h.state = 'recovering'
    and exists (
        select 1
        from owners as o
        where o.subscription_id = h.subscription_id
            and o.owner = $1::uuid
    )
returning h.subscription_id;
