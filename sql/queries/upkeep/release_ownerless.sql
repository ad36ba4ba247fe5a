-- upkeep/release_ownerless($1 most rows of each subscription and reason)
-- Makes parked rows due whose reason no longer stands: an in-flight hold that nobody
-- renews, a subscription that is active again, one that is no longer paced, active or there
-- (the claim says what becomes of those), or one that is not ordered any more, whose rows leave
-- their lines. What waits for a slot of a subscription that is paced by now becomes its owner's,
-- whoever held it: the holder may be lost, and these are the oldest; so does what waited for
-- one that is active again and comes back slowly. One process at a time does it;
-- the others return nothing. Returns how many rows were released.
with turn as materialized (
    select pg_try_advisory_xact_lock(hashtext('postrider.release_ownerless')) as mine
),
ownerless as materialized (
    select p.subscription_id, p.held_for, p.held_for in ('in_flight', 'disabled') and paced.is_paced as is_paced
    from parked_subscriptions as p
    cross join lateral (
        select exists (
            select 1
            from subscriptions as s
            where s.id = p.subscription_id
                and s.is_paced
                and s.is_active
                and s.deleted_at is null
        ) as is_paced
    ) as paced
    where (select turn.mine from turn)
        and case p.held_for
            when 'disabled' then exists (
                select 1
                from subscriptions as s
                where s.id = p.subscription_id
                    and (s.is_active or s.deleted_at is not null)
            )
            when 'ordered' then not exists (
                select 1
                from subscriptions as s
                where s.id = p.subscription_id
                    and s.is_ordered
                    and s.deleted_at is null
            )
            when 'paced' then not paced.is_paced
            else paced.is_paced or not exists (
                select 1
                from holds as h
                where h.subscription_id = p.subscription_id
                    and h.reason = p.held_for
                    and h.until > now()
            )
        end
),
held as materialized (
    select oldest.place, o.is_paced
    from ownerless as o
    cross join lateral (
        select h.ctid as place
        from deliveries as h
        where h.subscription_id = o.subscription_id
            and h.held_for = o.held_for
            and h.next_attempt_at = 'infinity'
        order by h.event_id
        limit $1::bigint
        for update skip locked
    ) as oldest
),
released as (
    update deliveries as d
    set
        next_attempt_at = case when held.is_paced then 'infinity' else now() end,
        ordering_key = case when d.held_for is distinct from 'ordered' then d.ordering_key end,
        position = case when d.held_for is distinct from 'ordered' then d.position end,
        held_for = case when held.is_paced then 'paced' end
    from held
    where d.ctid = held.place
    returning 1
),
forgotten as (
    delete from holds as h
    where h.until < now() - interval '1 minute'
        and (select turn.mine from turn)
)
select count(*) as released
from released;
