-- events/contain(tenant, event, bytes)
-- Whether the payload has these bytes.
create function events_contain_1(tenant uuid, event uuid, needle bytea) returns boolean
language plpgsql stable
set search_path from current
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
