-- upkeep/advance_lines(the line after which to begin: $1 subscription, $2 ordering key;
--   $3 most lines to look at)
-- Lets lines go on like deliveries/advance, whichever have come to a standstill because a
-- process was lost between a commit and its advance: one index probe for each line, however
-- long it is. One process at a time does it. Returns how many lines were looked at, how
-- many heads became due, and the last line, after which to begin next; null when there was none.
with recursive turn as materialized (
    select pg_try_advisory_xact_lock(hashtext('postrider.advance_lines')) as mine
),
line as (
    (
        select d.subscription_id, d.ordering_key, d.ctid as place, d.held_for, 1 as number
        from deliveries as d
        where d.ordering_key is not null
            and (d.subscription_id, d.ordering_key) > ($1::uuid, $2::text)
            and (select turn.mine from turn)
        order by d.subscription_id, d.ordering_key, d.position
        limit 1
    )
    union all
    select next.subscription_id, next.ordering_key, next.place, next.held_for, l.number + 1
    from line as l
    cross join lateral (
        select d.subscription_id, d.ordering_key, d.ctid as place, d.held_for
        from deliveries as d
        where d.ordering_key is not null
            and (d.subscription_id, d.ordering_key) > (l.subscription_id, l.ordering_key)
        order by d.subscription_id, d.ordering_key, d.position
        limit 1
    ) as next
    where l.number < $3::bigint
),
seen as materialized (
    select line.subscription_id, line.ordering_key, line.place, line.held_for, line.number
    from line
),
released as (
    update deliveries as d
    set
        next_attempt_at = now(),
        held_for = null
    where d.ctid = any(array(
        select x.ctid
        from deliveries as x
        where x.ctid = any(array(select seen.place from seen where seen.held_for = 'ordered'))
            and x.held_for = 'ordered'
        for update skip locked
    ))
    returning 1
)
select
    (select count(*) from seen) as examined,
    (select count(*) from released) as released,
    (select seen.subscription_id from seen order by seen.number desc limit 1) as subscription_id,
    (select seen.ordering_key from seen order by seen.number desc limit 1) as ordering_key;
