-- health/close($1 owner, $2 subscription)
-- The owner of a pace closes the breaker of a subscription that has recovered. No row when
-- it is no longer the owner or the breaker is another by now.
delete from subscription_health as h
where h.subscription_id = $2::uuid
    and h.state = 'recovering'
    and exists (
        select 1
        from paces as p
        where p.subscription_id = $2::uuid
            and p.owner = $1::uuid
    )
returning h.subscription_id;
