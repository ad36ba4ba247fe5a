-- attempts/walk_listed(one element each: tenants, subscriptions, ids; smallest id, id below which)
-- These attempts, newest first.
create function attempts_walk_listed_1(
    tenant_ids uuid[],
    subscription_ids uuid[],
    attempt_ids uuid[],
    from_id uuid,
    top_id uuid,
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
    select l.tenant_id, l.subscription_id, l.id, a.event_id, a.event_type, a.outcome, a.status_code
    from (
        select x.tenant_id, x.subscription_id, x.id
        from unnest(tenant_ids, subscription_ids, attempt_ids) as x (tenant_id, subscription_id, id)
        where x.id >= from_id
            and x.id < top_id
        order by x.id desc
    ) as l
    cross join lateral (
        select x.event_id, x.event_type, x.outcome, x.status_code
        from attempts as x
        where x.tenant_id = l.tenant_id
            and x.subscription_id = l.subscription_id
            and x.id = l.id
        limit 1
    ) as a
    order by l.id desc;
end
$$;
