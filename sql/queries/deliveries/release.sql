-- deliveries/release($1 subscriptions, $2 most rows of each, $3 reason, $4 most rows of one that
--   is paced by now, where $2 is not more)
-- The way out of a hold when its cause has room again, for those of older events first: makes
-- parked rows due now. Those of a subscription that is paced by now would only be
-- parked once more by the next claim: they stay where they are and become its owner's, many at
-- a time. Returns how many rows of each subscription were released.
with room as materialized (
    select r.subscription_id, s.is_paced, case when s.is_paced then greatest(r.most, $4::integer) else r.most end as most
    from unnest($1::uuid[], $2::integer[]) as r (subscription_id, most)
    cross join lateral (
        select x.is_paced
        from subscriptions as x
        where x.id = r.subscription_id
        limit 1
    ) as s
),
held as materialized (
    select oldest.place, r.is_paced
    from room as r
    cross join lateral (
        select h.ctid as place
        from deliveries as h
        where h.subscription_id = r.subscription_id
            and h.held_for = $3::text
            and h.next_attempt_at = 'infinity'
        order by h.event_id
        limit r.most
        for update skip locked
    ) as oldest
),
released as (
    update deliveries as d
    set
        next_attempt_at = case when held.is_paced then 'infinity' else now() end,
        held_for = case when held.is_paced then 'paced' end
    from held
    where d.ctid = held.place
    returning d.subscription_id
)
select
    released.subscription_id,
    count(*) as released
from released
group by released.subscription_id;
