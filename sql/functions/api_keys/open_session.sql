-- api_keys/open_session(tenant id, session id, capabilities, SHA-256 of the secret half, seconds, most live sessions of
-- the tenant, actor)
-- `ends_at` is null if the tenant has as many already; no row if there is no live tenant.
create function api_keys_open_session_1(
    tenant uuid,
    session uuid,
    session_capabilities text[],
    hash bytea,
    lifetime_seconds double precision,
    most integer,
    actor jsonb
)
returns table (ends_at timestamptz)
language plpgsql
set search_path from current
as $$
declare
    live bigint;
begin
    -- The lock makes the count exact.
    perform t.id
    from tenants as t
    where t.id = tenant
        and t.deleted_at is null
    for no key update;
    if not found then
        return;
    end if;
    select count(*)
    into live
    from (
        select 1
        from api_keys as k
        where k.tenant_id = tenant
            and k.capabilities is not null
            and k.expires_at > now()
            and k.revoked_at is null
        limit most
    ) as k;
    if live >= most then
        return query select null::timestamptz;
        return;
    end if;
    return query
    insert into api_keys as k (tenant_id, id, capabilities, secret_hash, expires_at, changed_by)
    values (tenant, session, session_capabilities, hash, now() + make_interval(secs => lifetime_seconds), actor)
    returning k.expires_at;
end
$$;
