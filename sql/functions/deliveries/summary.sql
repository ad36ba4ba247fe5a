-- deliveries/summary(tenant or null for all, most to count, most to examine)
-- Pending (sending ones too) and held deliveries, subscriptions that fail, and for how many seconds the oldest due
-- delivery that is not held has been due. Each count stops at the most; is_cut: more deliveries were not examined.
create function deliveries_summary_1(
    tenant uuid,
    most_counted bigint,
    most_examined bigint,
    out pending bigint,
    out held bigint,
    out failing bigint,
    out oldest_due_seconds double precision,
    out is_cut boolean
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
    at constant timestamptz := now();
    oldest timestamptz;
begin
    if tenant is null then
        select
            count(*) filter (where not q.is_held),
            count(*) filter (where q.is_held),
            count(*) >= most_examined
        into pending, held, is_cut
        from (
            select
                d.next_attempt_at = 'infinity'
                or (d.next_attempt_at <= s.held_until and (d.lease is null or d.next_attempt_at <= at)) as is_held
            from (
                select x.tenant_id, x.subscription_id, x.next_attempt_at, x.lease
                from deliveries as x
                order by x.event_id
                limit most_examined
            ) as d
            cross join lateral (
                select deliveries_held_until_1(x.is_active, x.breaker, x.rate_limit, x.max_in_flight, at) as held_until
                from subscriptions as x
                where x.tenant_id = d.tenant_id
                    and x.id = d.subscription_id
                    and x.deleted_at is null
                limit 1
            ) as s
        ) as q;
        select min(q.next_attempt_at)
        into oldest
        from (
            select d.next_attempt_at
            from (
                select x.tenant_id, x.subscription_id, x.next_attempt_at
                from deliveries as x
                where x.lease is null
                    and x.next_attempt_at < 'infinity'
                    and x.next_attempt_at <= at
                order by x.next_attempt_at
                limit most_examined
            ) as d
            cross join lateral (
                select 1
                from subscriptions as x
                where x.tenant_id = d.tenant_id
                    and x.id = d.subscription_id
                    and x.deleted_at is null
                    and d.next_attempt_at > deliveries_held_until_1(x.is_active, x.breaker, x.rate_limit, x.max_in_flight, at)
                limit 1
            ) as s
            limit 1
        ) as q;
    else
        select
            count(*) filter (where not q.is_held),
            count(*) filter (where q.is_held),
            count(*) >= most_examined
        into pending, held, is_cut
        from (
            select
                d.next_attempt_at = 'infinity'
                or (d.next_attempt_at <= s.held_until and (d.lease is null or d.next_attempt_at <= at)) as is_held
            from (
                select
                    x.id,
                    deliveries_held_until_1(x.is_active, x.breaker, x.rate_limit, x.max_in_flight, at) as held_until
                from subscriptions as x
                where x.tenant_id = tenant
                    and x.deleted_at is null
                limit most_examined
            ) as s
            cross join lateral (
                select x.next_attempt_at, x.lease
                from deliveries as x
                where uuid_hash_extended(x.subscription_id, 0) = uuid_hash_extended(s.id, 0)
                    and x.subscription_id = s.id
                    and x.next_attempt_at < 'infinity'
                union all
                select x.next_attempt_at, x.lease
                from deliveries as x
                where x.subscription_id = s.id
                    and x.ordering_key is not null
                    and x.next_attempt_at = 'infinity'
            ) as d
            limit most_examined
        ) as q;
        select min(d.next_attempt_at)
        into oldest
        from (
            select
                x.id,
                deliveries_held_until_1(x.is_active, x.breaker, x.rate_limit, x.max_in_flight, at) as held_until
            from subscriptions as x
            where x.tenant_id = tenant
                and x.deleted_at is null
            limit most_examined
        ) as s
        cross join lateral (
            select x.next_attempt_at
            from deliveries as x
            where uuid_hash_extended(x.subscription_id, 0) = uuid_hash_extended(s.id, 0)
                and x.subscription_id = s.id
                and x.next_attempt_at < 'infinity'
                and x.next_attempt_at > s.held_until
                and x.next_attempt_at <= at
                and x.lease is null
            order by x.next_attempt_at
            limit 1
        ) as d;
    end if;
    select count(*)
    into failing
    from (
        select 1
        from subscription_health as h
        where h.failing_since is not null
            and (h.tenant_id = tenant or tenant is null)
        limit most_counted + 1
    ) as f;
    oldest_due_seconds := coalesce(extract(epoch from at - oldest), 0);
end
$$;
