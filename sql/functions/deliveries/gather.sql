-- deliveries/gather(tenant, subscriptions or null for all of the tenant, whether with those that have attempts,
-- smallest id of an attempt, most keys, most subscriptions)
-- Keys of the deliveries in the queue, and of those with attempts, in no order and perhaps twice. Nulls if there are
-- more: then it is cheaper to walk the tenant's events.
create function deliveries_gather_1(
    tenant uuid,
    of_subscriptions uuid[],
    with_attempts boolean,
    first_attempt uuid,
    most_keys bigint,
    most_subscriptions bigint,
    out event_ids uuid[],
    out subscription_ids uuid[]
)
language plpgsql stable
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set jit = off
as $$
begin
    if of_subscriptions is null then
        of_subscriptions := array(
            select s.id
            from subscriptions as s
            where s.tenant_id = tenant
            limit most_subscriptions + 1
        );
        if cardinality(of_subscriptions) > most_subscriptions then
            return;
        end if;
    end if;
    select coalesce(array_agg(g.event_id), '{}'), coalesce(array_agg(g.subscription_id), '{}')
    into event_ids, subscription_ids
    from (
        select k.event_id, s.id as subscription_id
        from unnest(of_subscriptions) as s (id)
        cross join lateral (
            select d.event_id
            from deliveries as d
            where uuid_hash_extended(d.subscription_id, 0) = uuid_hash_extended(s.id, 0)
                and d.subscription_id = s.id
                and d.next_attempt_at < 'infinity'
            union all
            select d.event_id
            from deliveries as d
            where d.subscription_id = s.id
                and d.ordering_key is not null
                and d.next_attempt_at = 'infinity'
            union all
            select a.event_id
            from attempts as a
            where with_attempts
                and a.tenant_id = tenant
                and a.subscription_id = s.id
                and a.id >= first_attempt
        ) as k
        limit most_keys + 1
    ) as g;
    if cardinality(event_ids) > most_keys then
        event_ids := null;
        subscription_ids := null;
    end if;
end
$$;
