-- deliveries/cancel_held(tenant, subscription, most rows, actor)
-- Cancels held deliveries, oldest due time first, and those whose lease lapsed 5 s ago.
create function deliveries_cancel_held_1(
    tenant uuid,
    subscription uuid,
    most_rows bigint,
    actor jsonb,
    out cancelled bigint,
    out group_subscriptions uuid[],
    out group_keys text[]
)
language plpgsql
set search_path from current
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set jit = off
as $$
declare
    at constant timestamptz := now();
    lapsed_at constant timestamptz := at - interval '5 seconds';
    held_until timestamptz;
    tids tid[];
    events uuid[];
    counted integer[];
    causes text[];
    keys text[];
    due_times timestamptz[];
    lapsed boolean[];
begin
    cancelled := 0;
    group_subscriptions := '{}';
    group_keys := '{}';
    select deliveries_held_until_1(s.is_active, s.breaker, s.rate_limit, s.max_in_flight, at)
    into held_until
    from subscriptions as s
    where s.tenant_id = tenant
        and s.id = subscription;
    if not found then
        return;
    end if;
    with waiting as materialized (
        select
            d.ctid as tid, d.event_id, d.attempts, d.trigger, d.ordering_key, d.next_attempt_at as was_due,
            d.lease is not null as is_lapsed
        from deliveries as d
        where uuid_hash_extended(d.subscription_id, 0) = uuid_hash_extended(subscription, 0)
            and d.subscription_id = subscription
            and d.next_attempt_at < 'infinity'
            and d.next_attempt_at <= held_until
            and (d.lease is null or d.next_attempt_at <= lapsed_at)
        order by d.next_attempt_at
        limit most_rows
        for update skip locked
    ),
    ordered as materialized (
        select d.ctid as tid, d.event_id, d.attempts, d.trigger, d.ordering_key
        from deliveries as d
        where d.subscription_id = subscription
            and d.ordering_key is not null
            and d.next_attempt_at = 'infinity'
        limit most_rows
        for update skip locked
    )
    select
        array_agg(h.tid),
        array_agg(h.event_id),
        array_agg(h.attempts),
        array_agg(h.trigger),
        array_agg(h.ordering_key),
        array_agg(h.was_due),
        array_agg(h.is_lapsed)
    into tids, events, counted, causes, keys, due_times, lapsed
    from (
        select w.tid, w.event_id, w.attempts, w.trigger, w.ordering_key, w.was_due, w.is_lapsed
        from waiting as w
        union all
        select o.tid, o.event_id, o.attempts, o.trigger, o.ordering_key, at, false
        from ordered as o
    ) as h;
    if tids is null then
        return;
    end if;
    delete from deliveries as d
    where d.ctid = any(tids);
    get diagnostics cancelled = row_count;
    if true = any(lapsed) then
        perform attempts_log_lost_1(
            array_agg(tenant),
            array_agg(l.event_id),
            array_agg(subscription),
            array_agg(l.attempts),
            array_agg(l.was_due),
            array_agg(l.trigger)
        )
        from unnest(events, counted, due_times, lapsed, causes) as l (event_id, attempts, was_due, is_lapsed, trigger)
        where l.is_lapsed;
    end if;
    perform deliveries_end_1(
        array_agg(tenant),
        array_agg(e.event_id),
        array_agg(subscription),
        array_agg('cancelled'::text),
        array_agg('requested'::text),
        array_agg(e.attempts)
    )
    from unnest(events, counted) as e (event_id, attempts);
    select coalesce(array_agg(subscription), '{}'), coalesce(array_agg(k.ordering_key), '{}')
    into group_subscriptions, group_keys
    from (
        select distinct u.ordering_key
        from unnest(keys) as u (ordering_key)
        where u.ordering_key is not null
    ) as k;
    perform write_audit(
        actor, tenant, 'held_cancelled', 'subscription', subscription, null, jsonb_build_object('deliveries', cancelled)
    );
end
$$;
