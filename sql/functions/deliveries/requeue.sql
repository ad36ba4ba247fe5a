-- deliveries/requeue(tenant, events and subscriptions, one element each, lifetime, trigger)
-- Makes ended deliveries due again. Skips pending ones and those without event or subscription. "lateral … limit 1"
-- fixes the join order, so that ended deliveries are never scanned.
create function deliveries_requeue_1(
    tenant uuid,
    event_ids uuid[],
    subscription_ids uuid[],
    lifetime interval,
    requeued_by text
)
returns bigint
language plpgsql
set search_path from current
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
    at constant timestamptz := now();
    found_events uuid[];
    found_subscriptions uuid[];
    sizes integer[];
    attempts_before integer[];
    requeued bigint := 0;
begin
    select
        array_agg(a.event_id order by a.number),
        array_agg(a.subscription_id order by a.number),
        array_agg(e.payload_bytes order by a.number),
        array_agg(coalesce(ended.attempts, made.attempts, 0) order by a.number)
    into found_events, found_subscriptions, sizes, attempts_before
    from unnest(event_ids, subscription_ids) with ordinality as a (event_id, subscription_id, number)
    cross join lateral (
        select octet_length(x.payload) as payload_bytes
        from events as x
        where x.tenant_id = tenant
            and x.id = a.event_id
        limit 1
    ) as e
    cross join lateral (
        select 1
        from subscriptions as x
        where x.tenant_id = tenant
            and x.id = a.subscription_id
            and x.deleted_at is null
        limit 1
    ) as s
    left join lateral (
        select x.attempts
        from undelivered as x
        where x.tenant_id = tenant
            and x.event_id = a.event_id
            and x.subscription_id = a.subscription_id
        limit 1
    ) as ended on true
    cross join lateral (
        select max(x.attempt_number) as attempts
        from attempts as x
        where x.event_id = a.event_id
            and x.subscription_id = a.subscription_id
            and ended.attempts is null
    ) as made;
    if found_events is not null then
        requeued := deliveries_enqueue_1(
            array_fill(tenant, array[cardinality(found_events)]),
            found_events,
            sizes,
            null,
            null,
            array_fill(at + lifetime, array[cardinality(found_events)]),
            array(select generate_series(1, cardinality(found_events))),
            found_subscriptions,
            null,
            null,
            attempts_before,
            null,
            requeued_by
        );
    end if;
    -- Separate, because it also finds those that another statement requeued.
    delete from undelivered as u
    where u.ctid = any(array(
        select ended.tid
        from unnest(event_ids, subscription_ids) as a (event_id, subscription_id)
        cross join lateral (
            select 1
            from deliveries as x
            where x.event_id = a.event_id
                and x.subscription_id = a.subscription_id
            limit 1
        ) as d
        cross join lateral (
            select x.ctid as tid
            from undelivered as x
            where x.tenant_id = tenant
                and x.event_id = a.event_id
                and x.subscription_id = a.subscription_id
            limit 1
        ) as ended
    ));
    return requeued;
end
$$;
