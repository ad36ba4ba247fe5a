-- outbox/page(id to start after, only this tenant or null, tenants to leave out, most rows, most bytes, most rows
-- examined)
-- Chooses rows of the outbox in order. Returns them, the last id examined, and whether that was the end.
create function outbox_page_1(
    after uuid,
    only_tenant uuid,
    left_out uuid[],
    most_rows integer,
    most_bytes bigint,
    most_examined integer,
    out ids uuid[],
    out reached uuid,
    out is_end boolean
)
language plpgsql stable
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set jit = off
as $$
declare
    examined integer := 0;
    bytes bigint := 0;
    candidate record;
begin
    ids := '{}';
    reached := after;
    is_end := true;
    for candidate in
        select o.id, o.tenant_id, octet_length(o.payload) as payload_bytes
        from outbox as o
        where o.id > after
        order by o.id
        limit most_examined
    loop
        examined := examined + 1;
        if (candidate.tenant_id = only_tenant) is not false and candidate.tenant_id <> all(left_out) then
            bytes := bytes + candidate.payload_bytes;
            if cardinality(ids) >= most_rows or (bytes > most_bytes and cardinality(ids) > 0) then
                is_end := false;
                return;
            end if;
            ids := ids || candidate.id;
        end if;
        reached := candidate.id;
    end loop;
    is_end := examined < most_examined;
end
$$;
