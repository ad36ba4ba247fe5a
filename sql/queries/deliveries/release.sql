-- deliveries/release($1 subscriptions, $2 most rows of each, $3 reason)
-- Makes parked rows due now, those of older events first: the way out of a hold when its
-- cause has room again. Returns how many rows of each subscription were released.
with room as materialized (
    select r.subscription_id, r.most
    from unnest($1::uuid[], $2::integer[]) as r (subscription_id, most)
),
released as (
    update deliveries as d
    set
        next_attempt_at = now(),
        held_for = null
    where d.ctid = any(array(
        select held.place
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
        ) as held
    ))
    returning d.subscription_id
)
select
    released.subscription_id,
    count(*) as released
from released
group by released.subscription_id;
