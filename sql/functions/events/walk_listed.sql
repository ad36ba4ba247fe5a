-- events/walk_listed(tenants and events, smallest event id, event below which)
-- These events, newest first.
create function events_walk_listed_1(
    tenant_ids uuid[],
    event_ids uuid[],
    from_event uuid,
    top_event uuid,
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
        l.tenant_id,
        l.event_id,
        null::text as status,
        e.event_type,
        e.accepted_at,
        e.ordering_key,
        e.is_unmatched,
        null::boolean as has_text
    from (
        select x.tenant_id, x.event_id
        from unnest(tenant_ids, event_ids) as x (tenant_id, event_id)
        where x.event_id >= from_event
            and x.event_id < top_event
        order by x.event_id desc
    ) as l
    left join lateral (
        select x.event_type, x.accepted_at, x.ordering_key, x.is_unmatched
        from events as x
        where x.tenant_id = l.tenant_id
            and x.id = l.event_id
        limit 1
    ) as e on true;
end
$$;
