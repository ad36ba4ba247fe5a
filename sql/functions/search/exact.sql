-- search/exact(tenant or null for all, text, the same as an id or null)
-- What has this id, external id or idempotency key. Of an event only who it is. What has no index over all tenants is
-- looked for in up to 10,000 of them.
create function search_exact_1(tenant uuid, words text, as_id uuid)
returns table (
    kind text,
    tenant_id uuid,
    id uuid,
    event_id uuid,
    subscription_id uuid,
    at timestamptz,
    status text,
    reason text,
    title text,
    target_url text
)
language plpgsql
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = on
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
    among uuid[];
    owner uuid;
begin
    among := case
        when tenant is not null then array[tenant]
        else array(select t.id from tenants as t where t.deleted_at is null order by t.id desc limit 10000)
    end;
    return query
    select
        'tenant', t.id, t.id, null::uuid, null::uuid, t.created_at,
        case when t.deleted_at is null then 'active' else 'deleted' end, null::text, t.name, null::text
    from tenants as t
    where t.id = coalesce(
            as_id,
            (select x.id from tenants as x where x.external_id = words and x.deleted_at is null limit 1)
        )
        and (tenant is null or t.id = tenant);
    return query
    select
        'subscription', s.tenant_id, s.id, null::uuid, s.id, s.created_at,
        case when s.deleted_at is not null then 'deleted' when s.is_active then 'active' else 'disabled' end,
        coalesce(s.disabled_reason, s.disabled_by, s.breaker),
        coalesce(s.external_id, nullif(s.description, ''), s.target_url),
        s.target_url
    from subscriptions as s
    where s.id = coalesce(
            as_id,
            (
                select x.id
                from unnest(among) as t (id)
                cross join lateral (
                    select y.id
                    from subscriptions as y
                    where y.tenant_id = t.id
                        and y.external_id = words
                        and y.deleted_at is null
                    limit 1
                ) as x
                limit 1
            )
        )
        and (tenant is null or s.tenant_id = tenant);
    return query
    select
        'event', k.tenant_id, k.event_id, k.event_id, null::uuid, null::timestamptz, null::text, null::text, null::text,
        null::text
    from unnest(among) as t (id)
    cross join lateral (
        select x.tenant_id, x.event_id
        from idempotency_keys as x
        where x.tenant_id = t.id
            and x.key = words
        limit 1
    ) as k
    limit 10;
    if as_id is null then
        return;
    end if;
    -- Of its subscription, if it has one.
    return query
    select
        'subscription', r.tenant_id, coalesce(r.subscription_id, r.id), null::uuid, r.subscription_id, r.created_at, r.status,
        'replay ' || r.status, 'replay ' || r.id, null::text
    from unnest(among) as t (id)
    cross join lateral (
        select x.tenant_id, x.id, x.subscription_id, x.created_at, x.status
        from replays as x
        where x.tenant_id = t.id
            and x.id = as_id
        limit 1
    ) as r;
    return query
    select
        'attempt', a.tenant_id, a.id, a.event_id, a.subscription_id, a.created_at,
        case when a.outcome = 'delivered' then 'succeeded' else 'failed' end,
        a.error_message, 'attempt ' || a.attempt_number, null::text
    from attempts as a
    where a.id = as_id
        and (tenant is null or a.tenant_id = tenant)
    limit 1;
    owner := coalesce(
        tenant,
        (select d.tenant_id from deliveries as d where d.event_id = as_id limit 1),
        (select u.tenant_id from undelivered as u where u.event_id = as_id limit 1),
        (
            select a.tenant_id
            from attempts as a
            where a.event_id = as_id
                and a.id >= uuid_v7_floor(uuid_v7_time(as_id) - interval '10 minutes')
            limit 1
        )
    );
    return query
    select
        'event', e.tenant_id, e.id, e.id, null::uuid, e.accepted_at, null::text, null::text, null::text, null::text
    from unnest(case when owner is null then among else array[owner] end) as t (id)
    cross join lateral (
        select x.tenant_id, x.id, x.accepted_at
        from events as x
        where x.tenant_id = t.id
            and x.id = as_id
        limit 1
    ) as e
    limit 1;
end
$$;
