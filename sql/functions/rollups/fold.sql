-- rollups/fold(most attempts or events of a step)
-- Adds the next span of time to the roll-ups, in one commit with the position, so that nothing counts twice. One process
-- at a time, else null. `more`: another step is possible. Attempts with the trigger 'test' count nowhere.
create function rollups_fold_1(
    most_rows bigint,
    out reached timestamptz,
    out attempts bigint,
    out events bigint,
    out more boolean
)
language plpgsql
set search_path from current
set plan_cache_mode = force_custom_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
    least_span constant interval := '10 milliseconds';
    most_span constant interval := '1 day';
    mark constant timestamptz := log_complete_before_1();
    since timestamptz;
    step interval;
    from_id uuid;
    event_from_id uuid;
    tenants uuid[];
    subscriptions uuid[];
    types text[];
    outcomes text[];
    minutes timestamptz[];
    numbers integer[];
    started boolean[];
    first_bins integer[];
    delivery_bins integer[];
begin
    attempts := 0;
    events := 0;
    more := false;
    if not pg_try_advisory_xact_lock(hashtext(current_schema() || '.rollups')) then
        return;
    end if;
    select p.folded_until, p.span
    into since, step
    from rollup_progress as p
    for update;
    reached := since;
    if since >= mark then
        return;
    end if;
    -- Only to skip partitions: a lost attempt is dated back up to 12 hours, an event from the outbox by how long it waited.
    from_id := uuid_v7_floor(since - interval '1 day');
    event_from_id := uuid_v7_floor(since - interval '8 days');
    loop
        reached := least(mark, since + step);
        select count(*)
        into attempts
        from (
            select 1
            from attempts as a
            where a.written_at >= since
                and a.written_at < reached
                and a.id >= from_id
            limit most_rows + 1
        ) as a;
        select count(*)
        into events
        from (
            select 1
            from events as e
            where e.accepted_at >= since
                and e.accepted_at < reached
                and e.id >= event_from_id
            limit most_rows + 1
        ) as e;
        exit when greatest(attempts, events) <= most_rows or step <= least_span;
        step := greatest(least(step, reached - since) / 4, least_span);
    end loop;
    more := reached < mark;
    update rollup_progress
    set
        folded_until = reached,
        span = case when greatest(attempts, events) < most_rows / 4 then least(2 * step, most_span) else step end;
    if attempts = 0 and events = 0 then
        return;
    end if;
    select
        array_agg(f.tenant_id),
        array_agg(f.subscription_id),
        array_agg(f.event_type),
        array_agg(f.outcome),
        array_agg(f.minute),
        array_agg(f.number),
        array_agg(f.is_started),
        array_agg(f.first_bin),
        array_agg(f.delivery_bin)
    into tenants, subscriptions, types, outcomes, minutes, numbers, started, first_bins, delivery_bins
    from (
        select
            a.tenant_id,
            a.subscription_id,
            coalesce(a.event_type, '') as event_type,
            a.outcome,
            date_bin('1 minute', a.created_at, 'epoch') as minute,
            count(*)::integer as number,
            t.is_first and t.is_fresh as is_started,
            case
                when t.is_first and t.is_fresh then histogram_bin(1000 * extract(epoch from a.created_at - e.due_at))
            end as first_bin,
            case
                when a.outcome = 'delivered' and t.is_fresh
                    then histogram_bin(1000 * extract(epoch from a.created_at - e.due_at) + coalesce(a.duration_ms, 0))
            end as delivery_bin
        from attempts as a
        cross join lateral (
            select
                a.attempt_number = 1 as is_first,
                coalesce(a.trigger, 'fresh') not in ('manual', 'replay') as is_fresh
        ) as t
        left join lateral (
            select greatest(x.accepted_at, x.deliver_at) as due_at
            from events as x
            where x.tenant_id = a.tenant_id
                and x.id = a.event_id
                and t.is_fresh
                and (t.is_first or a.outcome = 'delivered')
            limit 1
        ) as e on true
        where a.written_at >= since
            and a.written_at < reached
            and a.id >= from_id
            and a.trigger is distinct from 'test'
        group by 1, 2, 3, 4, 5, 7, 8, 9
        union all
        select
            e.tenant_id,
            null,
            coalesce(e.event_type, ''),
            '',
            date_bin('1 minute', e.accepted_at, 'epoch'),
            count(*)::integer,
            false,
            null,
            null
        from events as e
        where e.accepted_at >= since
            and e.accepted_at < reached
            and e.id >= event_from_id
        group by 1, 3, 5
    ) as f;
    perform rollups_add_outcomes_1(tenants, outcomes, minutes, numbers, started, first_bins, delivery_bins);
    perform rollups_add_types_1(tenants, types, outcomes, minutes, numbers, started, first_bins, delivery_bins);
    perform rollups_add_subscriptions_1(
        tenants, subscriptions, types, outcomes, minutes, numbers, started, first_bins, delivery_bins
    );
end
$$;
