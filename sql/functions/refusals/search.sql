-- refusals/search(tenant or null for all, text, the same as an id or null, bytes to find or null, most rows, most rows to
-- examine)
-- Newest first: with this id, key, subscription, idempotency key or request id, or these bytes in their beginning.
create function refusals_search_1(
    tenant uuid,
    words text,
    as_id uuid,
    needle bytea,
    most_rows bigint,
    most_examined bigint
)
returns table (tenant_id uuid, id uuid)
language plpgsql
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
as $$
begin
    if tenant is not null then
        return query
        select x.tenant_id, x.id
        from (
            select
                r.tenant_id, r.id, r.key_id, r.subscription_id, r.subscription, r.idempotency_key, r.request_id,
                r.beginning
            from refusals as r
            where (r.tenant_id, r.id) >= (tenant, '00000000-0000-0000-0000-000000000000')
                and (r.tenant_id, r.id) <= (tenant, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
            order by r.tenant_id desc, r.id desc
            limit most_examined
        ) as x
        where as_id in (x.id, x.key_id, x.subscription_id)
            or words in (x.subscription, x.idempotency_key, x.request_id)
            or position(needle in x.beginning) > 0
        limit most_rows;
    else
        return query
        select x.tenant_id, x.id
        from (
            select
                r.tenant_id, r.id, r.key_id, r.subscription_id, r.subscription, r.idempotency_key, r.request_id,
                r.beginning
            from refusals as r
            order by r.id desc
            limit most_examined
        ) as x
        where as_id in (x.id, x.key_id, x.subscription_id)
            or words in (x.subscription, x.idempotency_key, x.request_id)
            or position(needle in x.beginning) > 0
        limit most_rows;
    end if;
end
$$;
