-- health/note(
--   subscriptions, one element each: $1 ids, $2 whether an attempt succeeded, $3 attempts
--     that failed since, $4 for how many seconds the receiver wants nothing, or null;
--   $5 failures in a row that open a breaker, or 0 for never, $6 how long ago the first of
--     them is at least, in seconds, unless there are ten times as many, $7 seconds from there to the first probe; $8 versions of the
--     subscriptions that the attempts were made for)
-- Counts what attempts met: failures add up over all replicas, a success ends them, and a wish
-- to wait throttles. An open breaker stays open, and one that recovers recovers: whoever
-- owns its pace decides. What another version met, maybe elsewhere, does not count. Rows are
-- locked in key order, a subscription before its health, as whoever changes one does it. Returns whose breaker changed.
with input as materialized (
    select i.subscription_id, i.succeeded, i.failed, i.wait, i.version
    from unnest($1::uuid[], $2::boolean[], $3::integer[], $4::double precision[], $8::bigint[])
        as i (subscription_id, succeeded, failed, wait, version)
    order by i.subscription_id
),
counted as materialized (
    select
        i.subscription_id,
        i.succeeded,
        i.failed,
        i.wait,
        s.tenant_id,
        h.state,
        h.opened_at,
        h.probe_at,
        coalesce(h.probes, 0) as probes,
        h.failing_since is not null as was_failing,
        h.width,
        h.last_failure_at,
        case when i.succeeded then 0 else coalesce(h.failures, 0) end + i.failed as failures,
        case
            when i.failed = 0 and i.succeeded then null
            when i.succeeded or h.failing_since is null then now()
            else h.failing_since
        end as failing_since
    from input as i
    cross join lateral (
        select x.tenant_id
        from subscriptions as x
        where x.id = i.subscription_id
            and x.version = i.version
            and x.is_active
            and x.deleted_at is null
        limit 1
        for no key update
    ) as s
    left join lateral (
        select x.state, x.failures, x.failing_since, x.last_failure_at, x.opened_at, x.probe_at, x.probes, x.width
        from subscription_health as x
        where x.subscription_id = i.subscription_id
        for update
    ) as h on true
),
judged as materialized (
    select
        c.subscription_id,
        c.tenant_id,
        c.state as before,
        case
            when c.wait is not null and c.state is distinct from 'open' then 'throttled'
            when
                c.state is null
                and $5::integer > 0
                and c.failures >= $5::integer
                and (
                    c.failing_since <= now() - make_interval(secs => $6::double precision)
                    or c.failures >= 10 * $5::integer
                )
                then 'open'
            else c.state
        end as state,
        c.succeeded,
        c.failed,
        c.wait,
        c.was_failing,
        c.failures,
        c.failing_since,
        c.last_failure_at,
        c.opened_at,
        c.probe_at,
        c.probes,
        c.width
    from counted as c
),
healed as (
    delete from subscription_health as h
    where h.subscription_id = any(array(
        select j.subscription_id
        from judged as j
        where j.succeeded
            and j.failed = 0
            and j.state is null
    ))
),
written as (
    insert into subscription_health (
        subscription_id, tenant_id, state, failures, failing_since, last_failure_at, opened_at, probe_at, probes, width
    )
    select
        j.subscription_id,
        j.tenant_id,
        j.state,
        j.failures,
        j.failing_since,
        case when j.failed > 0 then now() else j.last_failure_at end,
        case when j.state = 'open' and j.before is null then now() else j.opened_at end,
        case
            when j.wait is not null then greatest(j.probe_at, now() + make_interval(secs => j.wait))
            when j.state = 'open' and j.before is null then now() + make_interval(secs => $7::double precision)
            else j.probe_at
        end,
        case when j.state = 'open' and j.before is null then 0 else j.probes end,
        j.width
    from judged as j
    where j.failed > 0
        or (j.state is not null and j.was_failing)
    order by j.subscription_id
    on conflict (subscription_id) do update
    set
        state = coalesce(excluded.state, subscription_health.state),
        failures = excluded.failures,
        failing_since = excluded.failing_since,
        warnings = case
            when excluded.failing_since = subscription_health.failing_since then subscription_health.warnings else 0
        end,
        last_failure_at = excluded.last_failure_at,
        opened_at = excluded.opened_at,
        probe_at = greatest(excluded.probe_at, subscription_health.probe_at),
        probes = excluded.probes,
        width = coalesce(excluded.width, subscription_health.width)
)
select j.subscription_id, j.state
from judged as j
where j.state is distinct from j.before;
