-- deliveries/advance(groups: $1 subscriptions, $2 ordering keys, $3 positions of the last known heads)
-- Run it after the commit that changed a group: the later of two sees both commits. Positions become visible in
-- order, so what looks like the head is the head; $3 skips finished rows in the index.
with asked as materialized (
    select a.subscription_id, a.ordering_key, a.lowest
    from unnest($1::uuid[], $2::text[], $3::bigint[]) as a (subscription_id, ordering_key, lowest)
),
head as materialized (
    select asked.subscription_id, asked.ordering_key, first.tid, first.position, first.waits
    from asked
    cross join lateral (
        select d.ctid as tid, d.position, d.next_attempt_at = 'infinity' as waits
        from deliveries as d
        where d.subscription_id = asked.subscription_id
            and d.ordering_key = asked.ordering_key
            and d.position >= asked.lowest
        order by d.position
        limit 1
    ) as first
),
-- Locks by ctid: skipping a locked head would release the second.
released as (
    update deliveries as d
    set next_attempt_at = now()
    where d.ctid = any(array(
        select x.ctid
        from deliveries as x
        where x.ctid = any(array(select head.tid from head where head.waits))
            and x.next_attempt_at = 'infinity'
        for update skip locked
    ))
    returning d.subscription_id, d.position
)
select
    head.subscription_id,
    head.ordering_key,
    head.position,
    (head.subscription_id, head.position) in (select r.subscription_id, r.position from released as r) as is_released
from head;
