-- refusals/list(tenant or null for all, codes or null, smallest id, id below which, most rows, most rows to examine)
-- Newest first. If it examined as many rows as it may, examined_to is the last of them, and there is at least one row,
-- perhaps without an id. The tenant comes with the id, so that every index which has the id finds the row.
create function refusals_list_1(
    tenant uuid,
    codes text[],
    from_id uuid,
    before_id uuid,
    most_rows bigint,
    most_examined bigint
)
returns table (examined_to uuid, tenant_id uuid, id uuid)
language plpgsql
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
as $$
declare
    ids uuid[];
    found uuid[];
    owners uuid[];
begin
    if tenant is not null then
        select
            array_agg(x.id),
            array_agg(x.id) filter (where x.is_found),
            array_agg(x.tenant_id) filter (where x.is_found)
        into ids, found, owners
        from (
            select r.id, r.tenant_id, codes is null or r.code = any(codes) as is_found
            from refusals as r
            where (r.tenant_id, r.id) >= (tenant, from_id)
                and (r.tenant_id, r.id) < (tenant, before_id)
            order by r.tenant_id desc, r.id desc
            limit most_examined
        ) as x;
    else
        select
            array_agg(x.id),
            array_agg(x.id) filter (where x.is_found),
            array_agg(x.tenant_id) filter (where x.is_found)
        into ids, found, owners
        from (
            select r.id, r.tenant_id, codes is null or r.code = any(codes) as is_found
            from refusals as r
            where r.id >= from_id
                and r.id < before_id
            order by r.id desc
            limit most_examined
        ) as x;
    end if;
    return query
    select case when cardinality(ids) = most_examined then ids[most_examined] end, f.tenant_id, f.id
    from (values (1)) as one (row)
    left join unnest(owners[:most_rows], found[:most_rows]) as f (tenant_id, id) on true
    where cardinality(ids) = most_examined
        or f.id is not null;
end
$$;
