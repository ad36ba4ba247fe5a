-- refusals/write(ids, times, tenants (null: not known), whether they are the tenant's own, keys, subscriptions by id,
-- by id or external id, statuses, codes, details, routes, event types, idempotency keys, request ids, addresses,
-- beginnings; most rows of a tenant)
-- Of a request that is not the tenant's own, its key or else its subscription names the tenant; without one nothing of
-- the body is kept. Then deletes what a tenant has too many: of its own above most_rows, of others above a quarter.
create function refusals_write_1(
    ids uuid[],
    times timestamptz[],
    tenant_ids uuid[],
    own boolean[],
    key_ids uuid[],
    subscription_ids uuid[],
    subscription_names text[],
    statuses smallint[],
    codes text[],
    details text[],
    routes text[],
    event_types text[],
    idempotency_keys text[],
    request_ids text[],
    remote_addresses inet[],
    beginnings bytea[],
    most_rows integer
)
returns bigint
language plpgsql
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
    nobody constant uuid := '00000000-0000-0000-0000-000000000000';
    written bigint;
    source record;
    oldest uuid;
begin
    insert into refusals (
        tenant_id, id, at, subscription_id, key_id, status, is_own, remote_address, code, detail, route, subscription,
        event_type, idempotency_key, request_id, beginning
    )
    select
        coalesce(i.tenant_id, k.tenant_id, s.tenant_id, nobody),
        i.id,
        i.at,
        coalesce(i.subscription_id, e.id),
        i.key_id,
        i.status,
        i.is_own,
        i.remote_address,
        i.code,
        i.detail,
        i.route,
        i.subscription,
        i.event_type,
        i.idempotency_key,
        i.request_id,
        case when coalesce(i.tenant_id, k.tenant_id, s.tenant_id) is not null then i.beginning end
    from unnest(
        ids, times, tenant_ids, own, key_ids, subscription_ids, subscription_names, statuses, codes, details, routes,
        event_types, idempotency_keys, request_ids, remote_addresses, beginnings
    ) as i (
        id, at, tenant_id, is_own, key_id, subscription_id, subscription, status, code, detail, route, event_type,
        idempotency_key, request_id, remote_address, beginning
    )
    left join lateral (
        select x.tenant_id
        from api_keys as x
        where x.id = i.key_id
            and i.tenant_id is null
        limit 1
    ) as k on true
    left join lateral (
        select x.tenant_id
        from subscriptions as x
        where x.id = i.subscription_id
            and i.tenant_id is null
        limit 1
    ) as s on true
    left join lateral (
        select x.id
        from subscriptions as x
        where x.tenant_id = coalesce(i.tenant_id, k.tenant_id)
            and x.external_id = i.subscription
            and x.deleted_at is null
            and i.subscription_id is null
        limit 1
    ) as e on true
    on conflict do nothing;
    get diagnostics written = row_count;
    -- In one order, so that two processes do not wait for each other.
    for source in
        select r.tenant_id, r.is_own
        from unnest(ids) as i (id)
        cross join lateral (
            select x.tenant_id, x.is_own
            from refusals as x
            where x.id = i.id
            limit 1
        ) as r
        group by r.tenant_id, r.is_own
        order by r.tenant_id, r.is_own
    loop
        select x.id
        into oldest
        from refusals as x
        where x.tenant_id = source.tenant_id
            and x.is_own = source.is_own
        order by x.tenant_id desc, x.id desc
        offset case when source.is_own then most_rows else greatest(most_rows / 4, 1) end
        limit 1;
        if found then
            delete from refusals as r
            where r.tenant_id = source.tenant_id
                and r.id <= oldest
                and r.is_own = source.is_own;
        end if;
    end loop;
    return written;
end
$$;
