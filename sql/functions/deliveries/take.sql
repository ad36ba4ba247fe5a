-- deliveries/take(lease token, lease in seconds, worker, whether to take lapsed leases, most payload bytes;
-- subscriptions: ids, tenants, most rows, earliest due times, breakers or '')
-- Leases due deliveries, oldest due time first, and counts the attempt. Skips disabled subscriptions and paced ones
-- that the worker does not own or whose breaker differs. Takes over a lease that lapsed 5 s ago. "lateral … limit 1"
-- fixes the join order.
create function deliveries_take_1(
    token uuid,
    lease_seconds double precision,
    worker uuid,
    takes_lapsed boolean,
    most_bytes bigint,
    subscription_ids uuid[],
    tenant_ids uuid[],
    rooms integer[],
    due_from_times timestamptz[],
    breakers text[]
)
returns table (
    tenant_id uuid,
    event_id uuid,
    subscription_id uuid,
    attempts integer,
    free_attempts integer,
    trigger text,
    ordering_key text,
    expires_at timestamptz,
    is_cancelled boolean,
    was_due timestamptz,
    is_cut_off boolean,
    taken_at timestamptz,
    is_cut_short boolean,
    event_type text,
    payload bytea,
    content_type text,
    hops smallint,
    is_deleted boolean,
    target_url text,
    secret bytea,
    older_secrets bytea[],
    older_until timestamptz[],
    sealed_headers bytea,
    retry_schedule text,
    request_timeout_ms integer,
    version bigint,
    skip_after_attempts integer
)
language plpgsql
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
declare
    at constant timestamptz := now();
    lapsed_at constant timestamptz := at - interval '5 seconds';
    tenants uuid[];
    events uuid[];
    subscriptions uuid[];
    counted integer[];
    freed integer[];
    causes text[];
    keys text[];
    ends timestamptz[];
    due_times timestamptz[];
    leases double precision[];
    lapsed boolean[];
    found_rows bigint;
begin
    with asked as materialized (
        select a.subscription_id, a.room, a.due_from, greatest(lease_seconds, s.least_lease_seconds) as seconds
        from unnest(subscription_ids, tenant_ids, rooms, due_from_times, breakers) as a (subscription_id, tenant_id, room, due_from, breaker)
        cross join lateral (
            select x.least_lease_seconds
            from subscriptions as x
            where x.tenant_id = a.tenant_id
                and x.id = a.subscription_id
                and (
                    x.deleted_at is not null
                    or x.is_active and (
                        not x.is_paced
                        or coalesce(x.breaker, '') = a.breaker and exists (
                            select 1
                            from owners as o
                            where o.subscription_id = x.id
                                and o.owner = worker
                                and o.until > at
                        )
                    )
                )
            limit 1
        ) as s
    ),
    due as materialized (
        select d.tid, d.is_lapsed, d.was_due, a.seconds, sum(d.payload_bytes) over (rows unbounded preceding) as bytes
        from asked as a
        cross join lateral (
            select x.ctid as tid, x.lease is not null as is_lapsed, x.next_attempt_at as was_due, x.payload_bytes
            from deliveries as x
            where uuid_hash_extended(x.subscription_id, 0) = uuid_hash_extended(a.subscription_id, 0)
                and x.subscription_id = a.subscription_id
                and x.next_attempt_at < 'infinity'
                and x.next_attempt_at >= a.due_from
                and x.next_attempt_at <= at
                and (x.lease is null or takes_lapsed and x.next_attempt_at <= lapsed_at)
            order by x.next_attempt_at
            limit a.room
            for update skip locked
        ) as d
    ),
    leased as (
        update deliveries as d
        set
            next_attempt_at = at + make_interval(secs => due.seconds),
            lease = token,
            attempts = d.attempts + 1
        from due
        where d.ctid = due.tid
            and (due.bytes <= most_bytes or due.tid = (select due.tid from due limit 1))
        returning
            d.tenant_id, d.event_id, d.subscription_id, d.attempts, d.free_attempts, d.trigger, d.ordering_key,
            d.expires_at, due.was_due, due.seconds, due.is_lapsed
    )
    select
        array_agg(l.tenant_id),
        array_agg(l.event_id),
        array_agg(l.subscription_id),
        array_agg(l.attempts),
        array_agg(l.free_attempts),
        array_agg(l.trigger),
        array_agg(l.ordering_key),
        array_agg(l.expires_at),
        array_agg(l.was_due),
        array_agg(l.seconds),
        array_agg(l.is_lapsed),
        (select count(*) from due)
    into tenants, events, subscriptions, counted, freed, causes, keys, ends, due_times, leases, lapsed, found_rows
    from leased as l;
    if true = any(lapsed) then
        -- The lapsed lease is assumed as long as the new one.
        perform attempts_log_lost_1(
            array_agg(l.tenant_id),
            array_agg(l.event_id),
            array_agg(l.subscription_id),
            array_agg(l.attempts - 1),
            array_agg(l.was_due - make_interval(secs => l.seconds)),
            array_agg(l.trigger)
        )
        from unnest(tenants, events, subscriptions, counted, due_times, leases, lapsed, causes)
            as l (tenant_id, event_id, subscription_id, attempts, was_due, seconds, is_lapsed, trigger)
        where l.is_lapsed;
    end if;
    return query
    select
        l.tenant_id,
        l.event_id,
        l.subscription_id,
        l.attempts,
        l.free_attempts,
        l.trigger,
        l.ordering_key,
        nullif(l.expires_at, '-infinity'),
        l.expires_at is not distinct from '-infinity',
        l.was_due,
        l.is_lapsed,
        at,
        cardinality(events) < found_rows,
        e.event_type,
        e.payload,
        e.content_type,
        e.hops,
        s.deleted_at is not null,
        s.target_url,
        s.secret,
        s.older_secrets,
        s.older_until,
        s.sealed_headers,
        s.retry_schedule,
        s.request_timeout_ms,
        s.version,
        s.skip_after_attempts
    from unnest(tenants, events, subscriptions, counted, freed, causes, keys, ends, due_times, lapsed)
        as l (
            tenant_id, event_id, subscription_id, attempts, free_attempts, trigger, ordering_key, expires_at, was_due,
            is_lapsed
        )
    cross join lateral (
        select x.event_type, x.payload, x.content_type, x.hops
        from events as x
        where x.tenant_id = l.tenant_id
            and x.id = l.event_id
        limit 1
    ) as e
    cross join lateral (
        select
            x.deleted_at,
            x.target_url,
            x.secret,
            x.older_secrets,
            x.older_until,
            x.sealed_headers,
            x.retry_schedule,
            x.request_timeout_ms,
            x.version,
            x.skip_after_attempts
        from subscriptions as x
        where x.tenant_id = l.tenant_id
            and x.id = l.subscription_id
        limit 1
    ) as s;
end
$$;
