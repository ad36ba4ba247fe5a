-- paces/take($1 owner, $2 how long, in seconds, where the subscription asks for no
--   longer lease, $3 most subscriptions, $4 all those owned)
-- Makes the owner the only one that sends for subscriptions with held deliveries and nobody to
-- draw them, and prolongs what it owns. Returns all that it owns from now on. An owner whose
-- time is over has lost what another took meanwhile. Nobody takes it before its lapsed leases,
-- which hold older events, are held again: the last of them began a second after the pace was
-- prolonged, a claim takes it 5 seconds after its end, and may look back that far only 2 seconds
-- later, with one to spare. Of each the seconds it lasts.
-- Rows are locked in key order, first its own and then those of others: two whose time is over
-- may wait for each other, and the one that is told so tries again with its next look.
-- "held" steps from one paced subscription with held deliveries to the next, by an index of those
-- alone, and ends when enough are found: what is held for another reason, and a paced
-- subscription of which nothing is held, cost nothing.
with recursive renewed as (
    update paces as p
    -- Never sooner than before: what is under way was begun in that time.
    set until = greatest(
        p.until,
        now() + make_interval(secs => greatest(
            $2::double precision,
            (select s.least_lease_seconds from subscriptions as s where s.id = p.subscription_id)
        ))
    )
    where p.subscription_id = any(array(
        select x.subscription_id
        from paces as x
        where x.owner = $1::uuid
            and x.subscription_id = any($4::uuid[])
        order by x.subscription_id
        for update
    ))
    returning p.subscription_id, p.until
),
held as (
    (
        select d.subscription_id
        from deliveries as d
        where d.next_attempt_at = 'infinity'
            and d.held_for = 'paced'
        order by d.subscription_id
        limit 1
    )
    union all
    select next.subscription_id
    from held as h
    cross join lateral (
        select d.subscription_id
        from deliveries as d
        where d.next_attempt_at = 'infinity'
            and d.held_for = 'paced'
            and d.subscription_id > h.subscription_id
        order by d.subscription_id
        limit 1
    ) as next
),
wanting as materialized (
    select
        h.subscription_id,
        s.tenant_id,
        now() + make_interval(secs => greatest($2::double precision, s.least_lease_seconds)) as until
    from held as h
    left join lateral (
        select true as is_owned
        from paces as x
        where x.subscription_id = h.subscription_id
            and x.until >= now() - interval '9 seconds'
        limit 1
    ) as o on true
    cross join lateral (
        select x.tenant_id, x.least_lease_seconds
        from subscriptions as x
        where x.id = h.subscription_id
            and x.is_active
            and x.deleted_at is null
            and o.is_owned is null
        limit 1
    ) as s
    where h.subscription_id <> all($4::uuid[])
    limit $3::bigint
),
taken as (
    insert into paces (subscription_id, tenant_id, owner, until)
    select w.subscription_id, w.tenant_id, $1::uuid, w.until
    from wanting as w
    order by w.subscription_id
    on conflict (subscription_id) do update
    set
        owner = excluded.owner,
        until = excluded.until
    where paces.until < now() - interval '9 seconds'
    returning paces.subscription_id, paces.until
)
select renewed.subscription_id, extract(epoch from renewed.until - now())::double precision as lasts
from renewed
union all
select taken.subscription_id, extract(epoch from taken.until - now())::double precision
from taken;
