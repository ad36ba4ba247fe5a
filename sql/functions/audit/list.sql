-- audit/list(tenant or null for all, object or null, key or null, actions or null, smallest id, id below which, most
-- rows, most rows to examine)
-- Newest first, by the index of what is given: pairs are compared, so that no other index has the order. If it examined
-- as many rows as it may, examined_to is the last of them, and there is at least one row, perhaps without an id. The
-- object comes with the id, so that every index which has the id finds the row.
create function audit_list_1(
    tenant uuid,
    object uuid,
    actor uuid,
    wanted_actions text[],
    from_id uuid,
    before_id uuid,
    most_rows bigint,
    most_examined bigint
)
returns table (examined_to uuid, id uuid, object_id uuid)
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
    objects uuid[];
begin
    if object is not null then
        select
            array_agg(x.id),
            array_agg(x.id) filter (where x.is_found),
            array_agg(x.object_id) filter (where x.is_found)
        into ids, found, objects
        from (
            select
                a.id,
                a.object_id,
                (tenant is null or a.tenant_id = tenant)
                and (actor is null or a.actor_key = actor)
                and (wanted_actions is null or a.action = any(wanted_actions)) as is_found
            from audit as a
            where (a.object_id, a.id) >= (object, from_id)
                and (a.object_id, a.id) < (object, before_id)
            order by a.object_id desc, a.id desc
            limit most_examined
        ) as x;
    elsif actor is not null then
        select
            array_agg(x.id),
            array_agg(x.id) filter (where x.is_found),
            array_agg(x.object_id) filter (where x.is_found)
        into ids, found, objects
        from (
            select
                a.id,
                a.object_id,
                (tenant is null or a.tenant_id = tenant)
                and (wanted_actions is null or a.action = any(wanted_actions)) as is_found
            from audit as a
            where (a.actor_key, a.id) >= (actor, from_id)
                and (a.actor_key, a.id) < (actor, before_id)
                and a.actor_key is not null
            order by a.actor_key desc, a.id desc
            limit most_examined
        ) as x;
    elsif tenant is not null then
        select
            array_agg(x.id),
            array_agg(x.id) filter (where x.is_found),
            array_agg(x.object_id) filter (where x.is_found)
        into ids, found, objects
        from (
            select a.id, a.object_id, wanted_actions is null or a.action = any(wanted_actions) as is_found
            from audit as a
            where (a.tenant_id, a.id) >= (tenant, from_id)
                and (a.tenant_id, a.id) < (tenant, before_id)
            order by a.tenant_id desc, a.id desc
            limit most_examined
        ) as x;
    else
        select
            array_agg(x.id),
            array_agg(x.id) filter (where x.is_found),
            array_agg(x.object_id) filter (where x.is_found)
        into ids, found, objects
        from (
            select a.id, a.object_id, wanted_actions is null or a.action = any(wanted_actions) as is_found
            from audit as a
            where a.id >= from_id
                and a.id < before_id
            order by a.id desc
            limit most_examined
        ) as x;
    end if;
    return query
    select case when cardinality(ids) = most_examined then ids[most_examined] end, f.id, f.object_id
    from (values (1)) as one (row)
    left join unnest(found[:most_rows], objects[:most_rows]) as f (id, object_id) on true
    where cardinality(ids) = most_examined
        or f.id is not null;
end
$$;
