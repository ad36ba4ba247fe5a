-- deliveries/walk_pairs(tenant, subscription, event types or null; smallest event id, event and subscription below
-- which)
-- The tenant's events, newest first, each with its delivery to the subscription, if there is one. The first 8 digits of
-- an id are its time in units of 65 s: no attempt is 10 of them older than its event. The tenant of attempts is compared
-- as text, so that no plan walks the subscription's log instead of the event's.
create function deliveries_walk_pairs_1(
    tenant uuid,
    sub uuid,
    types text[],
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
    select tenant as tenant_id, e.id as event_id, sub as subscription_id, k.status, k.reason, e.event_type, e.accepted_at
    from (
        select x.id, x.event_type, x.accepted_at, types is null or x.event_type = any(types) as is_wanted
        from events as x
        where x.tenant_id = tenant
            and x.id >= from_event
            and x.id <= top_event
            and (x.id, sub) < (top_event, top_subscription)
        order by x.id desc
    ) as e
    left join lateral (
        select q.status, q.reason
        from queued_deliveries as q
        where e.is_wanted
            and q.event_id = e.id
            and q.subscription_id = sub
            and q.tenant_id = tenant
        union all
        select u.status, u.reason
        from undelivered as u
        where e.is_wanted
            and u.tenant_id = tenant
            and u.event_id = e.id
            and u.subscription_id = sub
        union all
        select 'succeeded', null
        from attempts as a
        where e.is_wanted
            and a.event_id = e.id
            and a.subscription_id = sub
            and a.tenant_id::text = tenant::text
            and a.id >= (
                lpad(to_hex(('x' || left(e.id::text, 8))::bit(32)::bigint - 10), 8, '0')
                || '-0000-0000-0000-000000000000'
            )::uuid
            and a.outcome = 'delivered'
            and a.trigger is distinct from 'test'
        -- In this order: a row of the queue wins, and a success has no other.
        limit 1
    ) as k on true;
end
$$;
