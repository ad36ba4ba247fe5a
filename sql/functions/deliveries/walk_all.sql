-- deliveries/walk_all(whether with the queue, with ended deliveries, with attempts; smallest event id, event and
-- subscription below which)
-- Of all tenants, newest event first. Each table has an index in that order, and they are merged; an attempt that did
-- not succeed, or whose delivery is in another table, has no status.
create function deliveries_walk_all_1(
    with_queue boolean,
    with_ended boolean,
    with_attempts boolean,
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
        k.tenant_id,
        k.event_id,
        k.subscription_id,
        k.status,
        k.reason,
        e.event_type,
        e.accepted_at,
        e.ordering_key,
        e.is_unmatched,
        null::boolean as has_text
    from (
        (
            select q.tenant_id, q.event_id, q.subscription_id, q.status, q.reason
            from queued_deliveries as q
            where with_queue
                and q.event_id >= from_event
                and (q.event_id, q.subscription_id) < (top_event, top_subscription)
            order by q.event_id desc, q.subscription_id desc
        )
        union all
        (
            select u.tenant_id, u.event_id, u.subscription_id, u.status, u.reason
            from undelivered as u
            where with_ended
                and u.event_id >= from_event
                and u.event_id <= top_event
                and (u.event_id, u.subscription_id) < (top_event, top_subscription)
            order by u.event_id desc, u.subscription_id desc
        )
        union all
        (
            select a.tenant_id, a.event_id, a.subscription_id, s.status, null::text
            from attempts as a
            left join lateral (
                select 'succeeded'::text as status
                where a.outcome = 'delivered'
                    and a.trigger is distinct from 'test'
                    and not exists (
                        select 1
                        from deliveries as d
                        where d.event_id = a.event_id
                            and d.subscription_id = a.subscription_id
                    )
                    and not exists (
                        select 1
                        from undelivered as u
                        where u.tenant_id = a.tenant_id
                            and u.event_id = a.event_id
                            and u.subscription_id = a.subscription_id
                    )
                limit 1
            ) as s on true
            where with_attempts
                and a.event_id >= from_event
                and (a.event_id, a.subscription_id) < (top_event, top_subscription)
            order by a.event_id desc, a.subscription_id desc
        )
        order by event_id desc, subscription_id desc
    ) as k
    left join lateral (
        select x.event_type, x.accepted_at, x.ordering_key, x.is_unmatched
        from events as x
        where x.tenant_id = k.tenant_id
            and x.id = k.event_id
        limit 1
    ) as e on true;
end
$$;
