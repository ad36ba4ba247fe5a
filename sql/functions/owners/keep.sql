-- owners/keep(worker, least seconds of an ownership; owned subscriptions; wanted ones and their tenants; those to
-- count)
-- Nothing sent outlasts an ownership, so a new owner starts with nothing in flight.
create function owners_keep_1(
    worker uuid,
    seconds double precision,
    owned uuid[],
    wanted uuid[],
    wanted_tenants uuid[],
    counted uuid[]
)
returns table (
    subscription_id uuid,
    tenant_id uuid,
    lasts double precision,
    is_active boolean,
    is_paced boolean,
    rate_limit integer,
    max_in_flight integer,
    breaker text,
    probes integer,
    width integer,
    wait_seconds double precision,
    leased bigint
)
language plpgsql
set search_path from current
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
declare
    at constant timestamptz := now();
    most_leases constant integer := 2000;
begin
    perform 1
    from owners as o
    where o.subscription_id = any(owned)
        and o.owner = worker
    order by o.subscription_id
    for update;
    update owners as o
    set until = greatest(o.until, at + make_interval(secs => greatest(seconds, (
        select s.least_lease_seconds
        from subscriptions as s
        where s.id = o.subscription_id
    ))))
    where o.subscription_id = any(owned)
        and o.owner = worker;
    insert into owners as o (subscription_id, tenant_id, owner, until)
    select s.id, s.tenant_id, worker, at + make_interval(secs => greatest(seconds, s.least_lease_seconds))
    from unnest(wanted, wanted_tenants) as w (subscription_id, tenant_id)
    cross join lateral (
        select x.id, x.tenant_id, x.least_lease_seconds
        from subscriptions as x
        where x.tenant_id = w.tenant_id
            and x.id = w.subscription_id
            and x.is_paced
            and x.is_active
            and x.deleted_at is null
        limit 1
    ) as s
    -- Rows of other workers are not locked, because two workers could deadlock.
    where not exists (
        select 1
        from owners as x
        where x.subscription_id = s.id
            and x.until >= at
    )
    order by s.id
    on conflict on constraint owners_pkey do update
    set
        owner = excluded.owner,
        until = excluded.until
    where o.until < at;
    return query
    select
        o.subscription_id,
        o.tenant_id,
        extract(epoch from o.until - at)::double precision,
        s.is_active and s.deleted_at is null,
        s.is_paced,
        s.rate_limit,
        s.max_in_flight,
        s.breaker,
        h.probes,
        h.width,
        extract(epoch from h.probe_at - at)::double precision,
        l.leased
    from owners as o
    cross join lateral (
        select x.is_active, x.is_paced, x.rate_limit, x.max_in_flight, x.breaker, x.deleted_at
        from subscriptions as x
        where x.tenant_id = o.tenant_id
            and x.id = o.subscription_id
        limit 1
    ) as s
    left join lateral (
        select x.probes, x.width, x.probe_at
        from subscription_health as x
        where x.subscription_id = o.subscription_id
        limit 1
    ) as h on true
    cross join lateral (
        select case when count(*) < most_leases then count(x.lease) else most_leases end as leased
        from (
            select x.lease
            from deliveries as x
            where o.subscription_id = any(counted)
                and uuid_hash_extended(x.subscription_id, 0) = uuid_hash_extended(o.subscription_id, 0)
                and x.subscription_id = o.subscription_id
                and x.next_attempt_at < 'infinity'
                and x.next_attempt_at > at
            order by x.next_attempt_at
            limit most_leases
        ) as x
    ) as l
    where o.subscription_id = any(owned || wanted)
        and o.owner = worker
        and o.until > at;
end
$$;
