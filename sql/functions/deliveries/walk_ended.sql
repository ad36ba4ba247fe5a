-- deliveries/walk_ended(tenant, its only subscription or null, whether with ended deliveries, events and subscriptions of
-- gathered keys; smallest event id, event and subscription below which)
-- The ended deliveries of a tenant or of one subscription and those of the gathered keys, newest event first.
create function deliveries_walk_ended_1(
    tenant uuid,
    sub uuid,
    with_ended boolean,
    gathered_events uuid[],
    gathered_subscriptions uuid[],
    from_event uuid,
    top_event uuid,
    top_subscription uuid,
    out candidates refcursor
)
language plpgsql stable
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
begin
    open candidates for
    select
        tenant as tenant_id,
        k.event_id,
        k.subscription_id,
        coalesce(k.status, d.status) as status,
        coalesce(k.reason, d.reason) as reason,
        e.event_type,
        e.accepted_at,
        e.ordering_key,
        e.is_unmatched,
        null::boolean as has_text
    from (
        (
            select u.event_id, u.subscription_id, u.status, u.reason
            from undelivered as u
            where with_ended
                and sub is null
                and (u.tenant_id, u.event_id) >= (tenant, from_event)
                and (u.tenant_id, u.event_id, u.subscription_id) < (tenant, top_event, top_subscription)
            order by u.tenant_id desc, u.event_id desc, u.subscription_id desc
        )
        union all
        (
            select u.event_id, u.subscription_id, u.status, u.reason
            from undelivered as u
            where with_ended
                and u.subscription_id = sub
                and u.tenant_id = tenant
                and u.event_id >= from_event
                and u.event_id <= top_event
                and (u.event_id, u.subscription_id) < (top_event, top_subscription)
            order by u.event_id desc, u.subscription_id desc
        )
        union all
        (
            select g.event_id, g.subscription_id, null::text, null::text
            from unnest(gathered_events, gathered_subscriptions) as g (event_id, subscription_id)
            where g.event_id >= from_event
                and (g.event_id, g.subscription_id) < (top_event, top_subscription)
            order by g.event_id desc, g.subscription_id desc
        )
        order by event_id desc, subscription_id desc
    ) as k
    left join lateral (
        select y.status, y.reason
        from all_deliveries as y
        where k.status is null
            and y.tenant_id = tenant
            and y.event_id = k.event_id
            and y.subscription_id = k.subscription_id
        limit 1
    ) as d on true
    left join lateral (
        select x.event_type, x.accepted_at, x.ordering_key, x.is_unmatched
        from events as x
        where x.tenant_id = tenant
            and x.id = k.event_id
        limit 1
    ) as e on true;
end
$$;
