-- deliveries/advance(lines, one element each: $1 subscriptions, $2 ordering keys)
-- Lets lines go on: makes the head of each due if it waits for its turn. Whatever else the head
-- does (due, leased, scheduled, held for another reason) keeps the line waiting. It has
-- to be a statement of its own, after the commit that changed the line: of two commits the
-- later one's advance sees both. All places below a visible one are visible too, or gone
-- (events/accept), so what looks like the head is the head. Returns how many became due.
with line as materialized (
    select l.subscription_id, l.ordering_key
    from unnest($1::uuid[], $2::text[]) as l (subscription_id, ordering_key)
),
head as materialized (
    select first.place
    from line
    cross join lateral (
        select d.ctid as place, d.held_for
        from deliveries as d
        where d.subscription_id = line.subscription_id
            and d.ordering_key = line.ordering_key
        order by d.position
        limit 1
    ) as first
    where first.held_for = 'ordered'
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
        where x.ctid = any(array(select head.place from head))
            and x.held_for = 'ordered'
        for update skip locked
    ))
    returning 1
)
select count(*) as released
from released;
