-- health/record(subscriptions: ids, whether any attempt succeeded, failures since, seconds to wait or null, versions;
-- failures that open a breaker or 0, least age of the first in seconds, seconds to the first probe)
-- Ten times the failures open a breaker at any age. The owner makes all other transitions. Locks in key order.
create function health_record_1(
    subscription_ids uuid[],
    succeeded boolean[],
    failed integer[],
    waits double precision[],
    versions bigint[],
    open_after_failures integer,
    open_after_seconds double precision,
    probe_seconds double precision
)
returns table (subscription_id uuid, tenant_id uuid, state text)
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
    ids uuid[];
    tenants uuid[];
    states_before text[];
    states text[];
    counts integer[];
    since timestamptz[];
    last_failures timestamptz[];
    opened timestamptz[];
    probe_times timestamptz[];
    probe_counts integer[];
    widths integer[];
begin
    -- Every writer of health locks the subscription first, so what is read next stays.
    perform 1
    from unnest(subscription_ids, versions) as i (subscription_id, version)
    cross join lateral (
        select 1
        from subscriptions as x
        where x.id = i.subscription_id
            and x.version = i.version
            and x.is_active
            and x.deleted_at is null
        limit 1
        for no key update
    ) as s;
    with counted as materialized (
        select
            i.subscription_id,
            s.tenant_id,
            i.failed,
            i.wait,
            h.state,
            h.last_failure_at,
            h.opened_at,
            h.probe_at,
            coalesce(h.probes, 0) as probes,
            h.width,
            case when i.succeeded then 0 else coalesce(h.failures, 0) end + i.failed as failures,
            case
                when i.failed = 0 and i.succeeded then null
                when i.succeeded or h.failing_since is null then at
                else h.failing_since
            end as failing_since,
            i.failed > 0 or h.failing_since is not null as is_worth_a_row
        from unnest(subscription_ids, succeeded, failed, waits, versions)
            as i (subscription_id, succeeded, failed, wait, version)
        cross join lateral (
            select x.tenant_id
            from subscriptions as x
            where x.id = i.subscription_id
                and x.version = i.version
                and x.is_active
                and x.deleted_at is null
            limit 1
        ) as s
        left join lateral (
            select
                x.state, x.failures, x.failing_since, x.last_failure_at, x.opened_at, x.probe_at, x.probes, x.width
            from subscription_health as x
            where x.subscription_id = i.subscription_id
            limit 1
        ) as h on true
    ),
    decided as materialized (
        select
            c.subscription_id,
            case
                when c.wait is not null and c.state is distinct from 'open' then 'throttled'
                when c.state is null
                    and open_after_failures > 0
                    and c.failures >= open_after_failures
                    and (
                        -- A transaction that began later may have counted the first failure.
                        greatest(at - c.failing_since, interval '0') >= make_interval(secs => open_after_seconds)
                        or c.failures >= 10 * open_after_failures
                    )
                    then 'open'
                else c.state
            end as state
        from counted as c
    )
    select
        array_agg(c.subscription_id),
        array_agg(c.tenant_id),
        array_agg(c.state),
        array_agg(d.state),
        array_agg(c.failures),
        array_agg(c.failing_since),
        array_agg(case when c.failed > 0 then at else c.last_failure_at end),
        array_agg(case when d.state = 'open' and c.state is null then at else c.opened_at end),
        array_agg(case
            when c.wait is not null then greatest(c.probe_at, at + make_interval(secs => c.wait))
            when d.state = 'open' and c.state is null then at + make_interval(secs => probe_seconds)
            else c.probe_at
        end),
        array_agg(case when d.state = 'open' and c.state is null then 0 else c.probes end),
        array_agg(c.width)
    into
        ids, tenants, states_before, states, counts, since, last_failures, opened, probe_times, probe_counts, widths
    from counted as c
    inner join decided as d
        on d.subscription_id = c.subscription_id
    where c.is_worth_a_row
        or d.state is null;
    delete from subscription_health as h
    where h.subscription_id = any(array(
        select n.subscription_id
        from unnest(ids, states, counts) as n (subscription_id, state, failures)
        where n.state is null
            and n.failures = 0
    ));
    insert into subscription_health as h (
        subscription_id, tenant_id, state, failures, failing_since, last_failure_at, opened_at, probe_at, probes, width
    )
    select
        n.subscription_id,
        n.tenant_id,
        n.state,
        n.failures,
        n.failing_since,
        n.last_failure_at,
        n.opened_at,
        n.probe_at,
        n.probes,
        n.width
    from unnest(ids, tenants, states, counts, since, last_failures, opened, probe_times, probe_counts, widths)
        as n (
            subscription_id, tenant_id, state, failures, failing_since, last_failure_at, opened_at, probe_at, probes, width
        )
    where n.failures > 0
        or n.state is not null
    order by n.subscription_id
    on conflict on constraint subscription_health_pkey do update
    set
        state = excluded.state,
        failures = excluded.failures,
        warnings = case when excluded.failing_since = h.failing_since then h.warnings else 0 end,
        failing_since = excluded.failing_since,
        last_failure_at = excluded.last_failure_at,
        opened_at = excluded.opened_at,
        probe_at = excluded.probe_at,
        probes = excluded.probes,
        width = excluded.width;
    return query
    select n.subscription_id, n.tenant_id, n.state
    from unnest(ids, tenants, states_before, states) as n (subscription_id, tenant_id, before, state)
    where n.state is distinct from n.before;
end
$$;
