-- rollups/read_each(minutes or hours; since; until; most rows; most tenants)
-- Each tenant's roll-ups, newest first. Of more tenants than the most it reads those that are busiest in the newest rows,
-- and one more.
create function rollups_read_each_1(
    source text,
    since timestamptz,
    until timestamptz,
    most_rows bigint,
    most_tenants bigint
)
returns table (
    at timestamptz,
    tenant_id uuid,
    outcome text,
    accepted bigint,
    attempts bigint,
    started bigint,
    first_attempt bigint[],
    delivery bigint[]
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
    everybody constant uuid := '00000000-0000-0000-0000-000000000000';
begin
    return query
    with newest as (
        (
            select x.tenant_id, x.attempts, x.accepted
            from rollup_minutes as x
            where source = 'minutes'
                and x.tenant_id <> everybody
                and x.at >= since
                and x.at < until
            order by x.at desc
            limit most_rows
        )
        union all
        (
            select x.tenant_id, x.attempts, x.accepted
            from rollup_hours as x
            where source = 'hours'
                and x.tenant_id <> everybody
                and x.at >= since
                and x.at < until
            order by x.at desc
            limit most_rows
        )
    ),
    busiest as (
        select n.tenant_id
        from newest as n
        group by n.tenant_id
        order by
            sum(n.attempts) desc,
            sum(n.accepted) desc,
            n.tenant_id
        limit most_tenants + 1
    )
    select r.at, r.tenant_id, r.outcome, r.accepted, r.attempts, r.started, r.first_attempt, r.delivery
    from busiest as b
    cross join lateral (
        (
            select x.at, x.tenant_id, x.outcome, x.accepted, x.attempts, x.started, x.first_attempt, x.delivery
            from rollup_minutes as x
            where source = 'minutes'
                and x.tenant_id = b.tenant_id
                and x.at >= since
                and x.at < until
            order by x.at desc
            limit most_rows
        )
        union all
        (
            select x.at, x.tenant_id, x.outcome, x.accepted, x.attempts, x.started, x.first_attempt, x.delivery
            from rollup_hours as x
            where source = 'hours'
                and x.tenant_id = b.tenant_id
                and x.at >= since
                and x.at < until
            order by x.at desc
            limit most_rows
        )
    ) as r
    order by r.at desc
    limit most_rows;
end
$$;
