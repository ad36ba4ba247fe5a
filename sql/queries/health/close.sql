-- health/close($1 owner, $2 subscriptions)
-- Locks a subscription before its health. No row if the worker is not the owner or the breaker differs.
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
