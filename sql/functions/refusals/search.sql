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
returns table (id uuid)
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
        select x.id
        from (
            select
                r.id, r.key_id, r.subscription_id, r.subscription, r.idempotency_key, r.request_id, r.beginning
            from refusals as r
            where r.tenant_id = tenant
            order by r.id desc
            limit most_examined
        ) as x
        where as_id in (x.id, x.key_id, x.subscription_id)
            or words in (x.subscription, x.idempotency_key, x.request_id)
            or position(needle in x.beginning) > 0
        limit most_rows;
    else
        return query
        select x.id
        from (
            select
                r.id, r.key_id, r.subscription_id, r.subscription, r.idempotency_key, r.request_id, r.beginning
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
