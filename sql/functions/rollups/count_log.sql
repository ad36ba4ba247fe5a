-- rollups/count_log(tenant or null for all, subscription or null for all, since, until, most attempts)
-- Rows as rollups_read gives them, from the attempts that began in this time, by minute, subscription, event type and
-- outcome. If there are more than the most, the span begins later; of a tenant with more than 10,000 subscriptions the
-- attempts of others in this time count as examined.
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
    most_subscriptions constant integer := 10000;
    from_id constant uuid := uuid_v7_floor(since);
    below_id constant uuid := uuid_v7_floor(until);
    of_subscriptions uuid[];
    keys record;
begin
    if tenant is not null or subscription is not null then
        of_subscriptions := array(
            select s.id
            from subscriptions as s
            where (tenant is null or s.tenant_id = tenant)
                and (subscription is null or s.id = subscription)
            limit most_subscriptions + 1
        );
        of_subscriptions := case when cardinality(of_subscriptions) <= most_subscriptions then of_subscriptions end;
    end if;
    select w.tenant_ids, w.subscription_ids, w.ids, w.lower_id
    into keys
    from attempts_window_1(
        of_subscriptions, from_id, below_id, extract(epoch from until - since)::double precision, most_rows
    ) as w;
    return query
    select
        c.minute,
        c.owner,
        c.receiver,
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
        keys.lower_id > from_id
    from (
        select
            date_bin('1 minute', a.created_at, 'epoch') as minute,
            a.owner,
            a.receiver,
            coalesce(a.event_type, '') as type,
            a.outcome as met,
            a.is_first,
            a.is_fresh,
            coalesce(a.duration_ms, 0) as took,
            (1000 * extract(epoch from a.created_at - e.due_at))::double precision as waited,
            a.trigger
        from (
            select
                k.owner, k.receiver, x.event_id, x.created_at, x.event_type, x.outcome, x.duration_ms, x.trigger,
                x.attempt_number = 1 and coalesce(x.trigger, 'fresh') not in ('manual', 'replay') as is_first,
                coalesce(x.trigger, 'fresh') not in ('manual', 'replay') as is_fresh
            from unnest(keys.tenant_ids, keys.subscription_ids, keys.ids) as k (owner, receiver, id)
            cross join lateral (
                select y.event_id, y.created_at, y.event_type, y.outcome, y.duration_ms, y.trigger, y.attempt_number
                from attempts as y
                where y.tenant_id = k.owner
                    and y.subscription_id = k.receiver
                    and y.id = k.id
                limit 1
            ) as x
            where tenant is null
                or k.owner = tenant
        ) as a
        left join lateral (
            select greatest(y.accepted_at, y.deliver_at) as due_at
            from events as y
            where y.tenant_id = a.owner
                and y.id = a.event_id
                and (a.is_first or (a.is_fresh and a.outcome = 'delivered'))
            limit 1
        ) as e on true
    ) as c
    where c.trigger is distinct from 'test'
    group by c.minute, c.owner, c.receiver, c.type, c.met
    order by c.minute desc;
end
$$;
