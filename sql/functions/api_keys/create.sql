-- api_keys/create(new tenant id, tenant's id or external id or null for an operator key, key id, name, scope, SHA-256
-- of the secret half, expiry, actor)
-- Also creates the tenant of a new external id. `is_made` is false if there is no tenant with this id.
create function api_keys_create_1(
    new_tenant uuid,
    tenant text,
    key uuid,
    key_name text,
    key_scope text,
    hash bytea,
    expiry timestamptz,
    actor jsonb,
    out owner uuid,
    out is_made boolean
)
language plpgsql
set search_path from current
as $$
begin
    if tenant ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' then
        select t.id
        into owner
        from tenants as t
        where t.id = tenant::uuid
            and t.deleted_at is null;
    elsif tenant is not null then
        insert into tenants (id, external_id, name, changed_by)
        values (new_tenant, tenant, left(tenant, 100), actor)
        on conflict (external_id) where deleted_at is null do nothing;
        select t.id
        into owner
        from tenants as t
        where t.external_id = tenant
            and t.deleted_at is null;
    end if;
    is_made := tenant is null or owner is not null;
    if is_made then
        insert into api_keys (tenant_id, id, name, scope, secret_hash, expires_at, changed_by)
        values (owner, key, key_name, key_scope, hash, expiry, actor);
    end if;
end
$$;
