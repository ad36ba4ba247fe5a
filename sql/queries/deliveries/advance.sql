-- deliveries/advance(lines, one element each: $1 subscriptions, $2 ordering keys,
--   $3 places below which nothing is left)
-- Lets lines go on: makes the head of each due if it waits for its turn. Whatever else the head
-- does (due, leased, scheduled, held for another reason) keeps the line waiting. It has
-- to be a statement of its own, after the commit that changed the line: of two commits the
-- later one's advance sees both. All places below a visible one are visible too, or gone
-- (events/accept), so what looks like the head is the head, and its place is the $3 of the
-- next call: beside an old transaction finished rows stay in the index, and a busy line has
-- many of them. Returns the place of each head, and whether it became due.
with line as materialized (
    select l.subscription_id, l.ordering_key, l.floor
    from unnest($1::uuid[], $2::text[], $3::bigint[]) as l (subscription_id, ordering_key, floor)
),
head as materialized (
    select line.subscription_id, line.ordering_key, first.place, first.position, first.held_for
    from line
    cross join lateral (
        select d.ctid as place, d.position, d.held_for
        from deliveries as d
        where d.subscription_id = line.subscription_id
            and d.ordering_key = line.ordering_key
            and d.position >= line.floor
        order by d.position
        limit 1
    ) as first
),
-- Locked by their place and not on the way there: a head that somebody has locked must not
-- make the second of the line look like the first.
released as (
    update deliveries as d
    set
        next_attempt_at = now(),
        held_for = null
    where d.ctid = any(array(
        select x.ctid
        from deliveries as x
        where x.ctid = any(array(select head.place from head where head.held_for = 'ordered'))
            and x.held_for = 'ordered'
        for update skip locked
    ))
    returning d.position
)
select
    head.subscription_id,
    head.ordering_key,
    head.position,
    (head.position in (select released.position from released)) is true as is_released
from head;
