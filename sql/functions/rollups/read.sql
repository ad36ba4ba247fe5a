-- rollups/read(minutes, hours, types, subscriptions or log; tenant, nil: all of them together, null: each; subscription
-- or null; since; until; most rows; most tenants where each is read)
-- Newest first. 'log' counts attempts by minute instead of reading roll-ups; `more`: there were more than it may
-- examine, so that it begins later and its oldest minute may be incomplete. Nothing is sorted: each source has an index by
-- time. rollups/read_each reads each tenant's minutes or hours.
create function rollups_read_1(
    source text,
    tenant uuid,
    subscription uuid,
    since timestamptz,
    until timestamptz,
    most_rows bigint,
    most_tenants bigint
)
returns table (
    at timestamptz,
    tenant_id uuid,
    subscription_id uuid,
    event_type text,
    outcome text,
    accepted bigint,
    attempts bigint,
    delivered bigint,
    started bigint,
    first_attempt bigint[],
    delivery bigint[],
    more boolean
)
language plpgsql
set search_path from current
set plan_cache_mode = force_custom_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
begin
    if tenant is null and source in ('minutes', 'hours') then
        return query
        select
            e.at, e.tenant_id, null::uuid, null::text, e.outcome, e.accepted, e.attempts,
            case when e.outcome = 'delivered' then e.attempts else 0 end, e.started, e.first_attempt, e.delivery,
            false
        from rollups_read_each_1(source, since, until, most_rows, most_tenants) as e;
    elsif source = 'minutes' then
        return query
        select
            r.at, r.tenant_id, null::uuid, null::text, r.outcome, r.accepted, r.attempts,
            case when r.outcome = 'delivered' then r.attempts else 0 end, r.started, r.first_attempt, r.delivery,
            false
        from (
            select x.at, x.tenant_id, x.outcome, x.accepted, x.attempts, x.started, x.first_attempt, x.delivery
            from rollup_minutes as x
            where x.tenant_id = tenant
                and x.at >= since
                and x.at < until
            order by x.at desc
            limit most_rows
        ) as r;
    elsif source = 'hours' then
        return query
        select
            r.at, r.tenant_id, null::uuid, null::text, r.outcome, r.accepted, r.attempts,
            case when r.outcome = 'delivered' then r.attempts else 0 end, r.started, r.first_attempt, r.delivery,
            false
        from (
            select x.at, x.tenant_id, x.outcome, x.accepted, x.attempts, x.started, x.first_attempt, x.delivery
            from rollup_hours as x
            where x.tenant_id = tenant
                and x.at >= since
                and x.at < until
            order by x.at desc
            limit most_rows
        ) as r;
    elsif source = 'types' then
        return query
        select
            r.at, r.tenant_id, null::uuid, r.event_type, null::text, r.accepted, r.attempts, r.delivered, r.started,
            r.first_attempt, r.delivery, false
        from (
            select x.at, x.tenant_id, x.event_type, x.accepted, x.attempts, x.delivered, x.started, x.first_attempt, x.delivery
            from rollup_types as x
            where x.tenant_id = tenant
                and x.at >= since
                and x.at < until
            order by x.at desc
            limit most_rows
        ) as r;
    elsif source = 'subscriptions' then
        return query
        select
            r.at, r.tenant_id, r.subscription_id, r.event_type, null::text, r.started, r.attempts, r.delivered, r.started,
            r.first_attempt, r.delivery, false
        from (
            select x.at, x.tenant_id, x.subscription_id, x.event_type, x.attempts, x.delivered, x.started, x.first_attempt, x.delivery
            from rollup_subscriptions as x
            where (x.tenant_id = tenant or tenant is null)
                and (x.subscription_id = subscription or subscription is null)
                and x.at >= since
                and x.at < until
            order by x.at desc
            limit most_rows
        ) as r;
    elsif source = 'log' then
        return query
        select
            l.at, l.tenant_id, l.subscription_id, l.event_type, l.outcome, l.accepted, l.attempts, l.delivered, l.started,
            l.first_attempt, l.delivery, l.more
        from rollups_count_log_1(tenant, subscription, since, until, most_rows) as l;
    end if;
end
$$;
