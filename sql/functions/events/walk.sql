-- events/walk(tenant, whether only unmatched ones, bytes of the payload or null; smallest event id, event below which)
-- The tenant's events, newest first. A payload is read when its row is fetched.
create function events_walk_1(
    tenant uuid,
    only_unmatched boolean,
    needle bytea,
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
    if only_unmatched then
        open candidates for
        select
            tenant as tenant_id,
            x.id as event_id,
            null::text as status,
            x.event_type,
            x.accepted_at,
            x.ordering_key,
            x.is_unmatched,
            position(needle in x.payload) > 0 as has_text
        from events as x
        where x.tenant_id = tenant
            and x.is_unmatched
            and x.id >= from_event
            and x.id < top_event
        order by x.id desc;
    else
        open candidates for
        select
            tenant as tenant_id,
            x.id as event_id,
            null::text as status,
            x.event_type,
            x.accepted_at,
            x.ordering_key,
            x.is_unmatched,
            position(needle in x.payload) > 0 as has_text
        from events as x
        where x.tenant_id = tenant
            and x.id >= from_event
            and x.id < top_event
        order by x.id desc;
    end if;
end
$$;
