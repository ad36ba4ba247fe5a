-- deliveries/walk_events(tenant, event types or null, whether with the queue, with ended deliveries, with successes;
-- smallest event id, event and subscription below which)
-- The tenant's events, newest first, each with its deliveries, or without one. The first 8 digits of an id are its time
-- in units of 65 s: no attempt is 10 of them older than its event. The tenant of attempts is compared as text, so that no
-- plan walks its log instead of the event's.
create function deliveries_walk_events_1(
    tenant uuid,
    types text[],
    with_queue boolean,
    with_ended boolean,
    with_succeeded boolean,
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
    select tenant as tenant_id, e.id as event_id, k.subscription_id, k.status, k.reason, e.event_type, e.accepted_at
    from (
        select x.id, x.event_type, x.accepted_at, types is null or x.event_type = any(types) as is_wanted
        from events as x
        where x.tenant_id = tenant
            and x.id >= from_event
            and x.id <= top_event
        order by x.id desc
    ) as e
    left join lateral (
        select q.subscription_id, q.status, q.reason
        from queued_deliveries as q
        where with_queue
            and e.is_wanted
            and q.event_id = e.id
            and q.tenant_id = tenant
        union all
        select u.subscription_id, u.status, u.reason
        from undelivered as u
        where with_ended
            and e.is_wanted
            and u.tenant_id = tenant
            and u.event_id = e.id
        union all
        select a.subscription_id, 'succeeded', null
        from attempts as a
        where with_succeeded
            and e.is_wanted
            and a.event_id = e.id
            and a.tenant_id::text = tenant::text
            and a.id >= (
                lpad(to_hex(('x' || left(e.id::text, 8))::bit(32)::bigint - 10), 8, '0')
                || '-0000-0000-0000-000000000000'
            )::uuid
            and a.outcome = 'delivered'
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
                where u.tenant_id = tenant
                    and u.event_id = a.event_id
                    and u.subscription_id = a.subscription_id
            )
    ) as k
        on e.id < top_event
        or k.subscription_id < top_subscription
    order by e.id desc, k.subscription_id desc;
end
$$;
