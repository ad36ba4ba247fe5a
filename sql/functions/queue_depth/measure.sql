-- queue_depth/measure(most deliveries to count, most tenants, least time between two counts, in times that the last took)
-- Counts what waits, of all tenants together and of those with most. One process at a time, and at most once a minute, else
-- null. Where there are more deliveries, tenants are not counted, and all together are estimated: as many as PostgreSQL's
-- statistics say, held like the oldest. Returns how many deliveries were counted.
create function queue_depth_measure_1(most_examined bigint, most_tenants bigint, least_pause double precision)
returns bigint
language plpgsql
set search_path from current
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
    together constant uuid := '00000000-0000-0000-0000-000000000000';
    counted_at constant timestamptz := now();
    minute constant timestamptz := date_trunc('minute', counted_at);
    examined bigint;
    estimated bigint;
    tenants uuid[];
    pending bigint[];
    held bigint[];
    cut boolean;
begin
    if not pg_try_advisory_xact_lock(hashtext(current_schema() || '.queue_depth')) then
        return null;
    end if;
    if exists (
        select 1
        from queue_depth_minutes as q
        where q.tenant_id = together
            and q.at > counted_at - interval '1 hour'
            and q.at <= minute
            and (q.at = minute or q.at + q.took * least_pause > counted_at)
    ) then
        return null;
    end if;
    -- By subscription and by the times that decide together with it whether a delivery is held; what is sent never is.
    with waiting as materialized (
        select x.tenant_id, x.subscription_id, x.due, count(*) as deliveries
        from (
            select
                d.tenant_id,
                d.subscription_id,
                case
                    when d.lease is not null and d.next_attempt_at > counted_at then null
                    when d.next_attempt_at <= counted_at - interval '1 second' then counted_at - interval '1 second'
                    when d.next_attempt_at <= counted_at then counted_at
                    when d.next_attempt_at < 'infinity' then counted_at + interval '1 second'
                    else 'infinity'
                end as due
            from deliveries as d
            order by d.event_id
            limit most_examined + 1
        ) as x
        group by
            x.tenant_id,
            x.subscription_id,
            x.due
    ),
    depths as materialized (
        select
            w.tenant_id,
            sum(w.deliveries) as deliveries,
            coalesce(sum(w.deliveries) filter (where w.due = 'infinity' or w.due <= s.held_until), 0) as held
        from waiting as w
        cross join lateral (
            select deliveries_held_until_1(x.is_active, x.breaker, x.rate_limit, x.max_in_flight, counted_at) as held_until
            from subscriptions as x
            where x.tenant_id = w.tenant_id
                and x.id = w.subscription_id
                and x.deleted_at is null
            limit 1
        ) as s
        group by w.tenant_id
    )
    select
        coalesce((select sum(w.deliveries) from waiting as w), 0),
        array_agg(n.tenant_id order by n.tenant_id),
        array_agg(n.deliveries - n.held order by n.tenant_id),
        array_agg(n.held order by n.tenant_id),
        (select count(*) from depths as d) > most_tenants
    into examined, tenants, pending, held, cut
    from (
        select together as tenant_id, coalesce(sum(d.deliveries), 0) as deliveries, coalesce(sum(d.held), 0) as held
        from depths as d
        union all
        (
            select d.tenant_id, d.deliveries, d.held
            from depths as d
            order by d.deliveries desc
            limit most_tenants
        )
    ) as n;
    if examined > most_examined then
        estimated := greatest(examined, (
            select t.n_live_tup
            from pg_stat_user_tables as t
            where t.relid = 'deliveries'::regclass
        ));
        tenants := array[together];
        held := array[round(estimated::numeric * held[1] / examined)];
        pending := array[estimated - held[1]];
        cut := true;
    end if;
    insert into queue_depth_minutes (tenant_id, at, pending, held, is_cut, took)
    select d.tenant_id, minute, d.pending, d.held, cut, case when d.tenant_id = together then clock_timestamp() - counted_at end
    from unnest(tenants, pending, held) as d (tenant_id, pending, held);
    perform queue_depth_keep_hours_1();
    return examined;
end
$$;
