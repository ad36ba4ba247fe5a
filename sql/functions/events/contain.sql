-- events/contain(tenant, event, bytes)
-- Whether the payload has these bytes.
create function events_contain_1(tenant uuid, event uuid, needle bytea) returns boolean
language plpgsql stable
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
begin
    return (
        select position(needle in x.payload) > 0
        from events as x
        where x.tenant_id = tenant
            and x.id = event
    );
end
$$;
