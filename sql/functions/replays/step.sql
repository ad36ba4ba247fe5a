-- replays/step(tenant, replay, lifetime of a delivery in seconds, most events)
-- Requeues what the rate allows this second, less what is due, so that a fresh event waits for at most one second's
-- worth. Raises the system event of the end in the same commit. Nulls if the step is not due. "lateral … limit 1"
-- fixes the join order: a plan made on empty tables could scan full ones.
create function replays_step_1(
    tenant uuid,
    replay uuid,
    lifetime_seconds double precision,
    most_events bigint,
    out written bigint,
    out may_go_on boolean
)
language plpgsql
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
    at constant timestamptz := now();
    r record;
    room bigint;
    looked uuid[];
    asked uuid[];
    is_last boolean;
    is_full boolean;
begin
    select
        x.subscription_id,
        x.statuses,
        x.event_types,
        x.reached,
        x.below_id,
        -- These endings are not in `undelivered`.
        x.statuses && array['succeeded', 'missed'] as walks_events,
        x.rate,
        x.stepped_at <= at - interval '900 milliseconds' as is_fresh,
        case when x.stepped_at <= at - interval '900 milliseconds' then 0 else x.stepped end as stepped,
        s.id is null as is_orphan,
        s.event_types as wanted_types,
        least(x.rate, s.rate_limit) as most
    into r
    from replays as x
    left join lateral (
        select y.id, y.event_types, y.rate_limit
        from subscriptions as y
        where y.tenant_id = tenant
            and y.id = x.subscription_id
            and y.deleted_at is null
        limit 1
    ) as s on true
    where x.tenant_id = tenant
        and x.id = replay
        and x.status = 'running'
    for update of x skip locked;
    if not found or (not r.is_fresh and r.stepped >= r.most) then
        return;
    end if;
    if r.is_orphan then
        update replays as x
        set
            status = 'cancelled',
            ended_at = at
        where x.tenant_id = tenant
            and x.id = replay;
        written := 0;
        may_go_on := false;
        return;
    end if;
    select greatest(r.most - r.stepped - count(*), 0)
    into room
    from (
        select 1
        from deliveries as d
        where uuid_hash_extended(d.subscription_id, 0) = uuid_hash_extended(r.subscription_id, 0)
            and d.subscription_id = r.subscription_id
            and d.next_attempt_at < 'infinity'
            and d.next_attempt_at <= at
        order by d.next_attempt_at
        limit r.most
    ) as due;
    looked := case
        when room = 0 then '{}'
        when r.walks_events then array(
            select e.id
            from events as e
            where e.tenant_id = tenant
                and e.id > r.reached
                and e.id < r.below_id
            order by e.id
            limit most_events
        )
        else array(
            select u.event_id
            from undelivered as u
            where (u.subscription_id, u.event_id) > (r.subscription_id, r.reached)
                and (u.subscription_id, u.event_id) < (r.subscription_id, r.below_id)
            order by u.subscription_id, u.event_id
            limit most_events
        )
    end;
    asked := array(
        select l.event_id
        from unnest(looked) as l (event_id)
        cross join lateral (
            select x.event_type, x.fan_out, x.about
            from events as x
            where x.tenant_id = tenant
                and x.id = l.event_id
            limit 1
        ) as e
        left join lateral (
            select x.status
            from undelivered as x
            where x.tenant_id = tenant
                and x.event_id = l.event_id
                and x.subscription_id = r.subscription_id
            limit 1
        ) as ended on true
        left join lateral (
            select true as is_delivered
            from attempts as x
            where x.event_id = l.event_id
                and x.subscription_id = r.subscription_id
                and x.outcome = 'delivered'
                and ended.status is null
            limit 1
        ) as delivered on true
        left join lateral (
            select true as is_pending
            from deliveries as x
            where x.event_id = l.event_id
                and x.subscription_id = r.subscription_id
            limit 1
        ) as pending on true
        where is_wanted(e.event_type, r.event_types)
            and case
                when ended.status is not null then ended.status
                when delivered.is_delivered then 'succeeded'
                -- A system event goes only to subscriptions that name its type.
                when e.about is not null then
                    case when e.about <> r.subscription_id and e.event_type = any(r.wanted_types) then 'missed' end
                when e.fan_out and is_wanted(e.event_type, r.wanted_types) then 'missed'
            end = any(r.statuses)
            and pending.is_pending is null
        order by l.event_id
    );
    is_full := room = 0 or cardinality(asked) > room;
    is_last := cardinality(looked) < most_events and not is_full;
    asked := asked[:room::integer];
    written := deliveries_requeue_1(
        tenant,
        asked,
        array_fill(r.subscription_id, array[cardinality(asked)]),
        make_interval(secs => lifetime_seconds)
    );
    update replays as x
    set
        reached = coalesce(case when is_full then asked[cardinality(asked)] else looked[cardinality(looked)] end, x.reached),
        stepped_at = case when r.is_fresh then at else x.stepped_at end,
        stepped = case when is_full then r.most else r.stepped + written end,
        replayed = x.replayed + written,
        status = case when is_last then 'finished' else x.status end,
        ended_at = case when is_last then at end
    where x.tenant_id = tenant
        and x.id = replay;
    may_go_on := not is_last and not is_full and r.stepped + written < r.most;
    if is_last then
        written := written + events_raise_1(
            tenant,
            r.subscription_id,
            'replay.finished',
            jsonb_build_object('replay_id', replay, 'replayed', (
                select x.replayed
                from replays as x
                where x.tenant_id = tenant
                    and x.id = replay
            ))
        )::integer;
    end if;
end
$$;
