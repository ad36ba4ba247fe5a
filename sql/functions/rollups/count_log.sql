-- rollups/count_log(tenant, subscription, since, until, most attempts)
-- Rows as rollups_read gives them, from the newest attempts of one subscription that began in this time, by minute,
-- event type and outcome.
create function rollups_count_log_1(
    tenant uuid,
    subscription uuid,
    since timestamptz,
    until timestamptz,
    most_rows bigint
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
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
    from_id constant uuid := uuid_v7_floor(since);
    below_id constant uuid := uuid_v7_floor(until);
begin
    return query
    select
        c.minute,
        tenant,
        subscription,
        c.type,
        c.met,
        count(*) filter (where c.is_first),
        count(*),
        count(*) filter (where c.met = 'delivered'),
        count(*) filter (where c.is_first),
        coalesce(histogram(array_agg(256 + histogram_bin(c.waited)::bigint) filter (where c.is_first and c.waited is not null)), '{}'),
        coalesce(histogram(array_agg(256 + histogram_bin(c.waited + c.took)::bigint) filter (
            where c.is_fresh and c.met = 'delivered' and c.waited is not null
        )), '{}'),
        bool_or(c.examined >= most_rows)
    from (
        select
            date_bin('1 minute', a.created_at, 'epoch') as minute,
            coalesce(a.event_type, '') as type,
            a.outcome as met,
            a.is_first,
            a.is_fresh,
            coalesce(a.duration_ms, 0) as took,
            (1000 * extract(epoch from a.created_at - e.due_at))::double precision as waited,
            a.trigger,
            count(*) over () as examined
        from (
            select
                x.event_id, x.created_at, x.event_type, x.outcome, x.duration_ms, x.trigger,
                x.attempt_number = 1 and coalesce(x.trigger, 'fresh') not in ('manual', 'replay') as is_first,
                coalesce(x.trigger, 'fresh') not in ('manual', 'replay') as is_fresh
            from attempts as x
            where x.tenant_id = tenant
                and x.subscription_id = subscription
                and x.id >= from_id
                and x.id < below_id
            order by x.id desc
            limit most_rows
        ) as a
        left join lateral (
            select greatest(y.accepted_at, y.deliver_at) as due_at
            from events as y
            where y.tenant_id = tenant
                and y.id = a.event_id
                and (a.is_first or (a.is_fresh and a.outcome = 'delivered'))
            limit 1
        ) as e on true
    ) as c
    where c.trigger is distinct from 'test'
    group by c.minute, c.type, c.met
    order by c.minute desc;
end
$$;
