-- attempts/walk(tenant, subscription; smallest id, id below which)
-- The log of a subscription, newest first.
create function attempts_walk_1(tenant uuid, sub uuid, from_id uuid, top_id uuid, out candidates refcursor)
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
    select a.tenant_id, a.subscription_id, a.id, a.event_id, a.event_type, a.outcome, a.status_code
    from attempts as a
    where a.tenant_id = tenant
        and a.subscription_id = sub
        and a.id >= from_id
        and a.id < top_id
    order by a.id desc;
end
$$;
