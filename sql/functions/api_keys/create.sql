-- api_keys/create(tenant id if it is new, tenant name, key id, scope, SHA-256 of the secret half)
-- Makes the tenant if there is none of this name, and the key; returns the tenant's id.
create function api_keys_create_1(new_tenant uuid, tenant_name text, key uuid, key_scope text, hash bytea)
returns uuid
language plpgsql
set search_path from current
as $$
declare
    owner uuid;
begin
    insert into tenants (id, name)
    values (new_tenant, tenant_name)
    on conflict (name) do update
    set name = excluded.name
    returning id
    into owner;
    insert into api_keys (tenant_id, id, scope, secret_hash)
    values (owner, key, key_scope, hash);
    return owner;
end
$$;
