-- tenants/delete(id, actor)
-- Soft deletion; also revokes its keys. Its portal sessions end because no key of a deleted tenant is found. False if
-- there is no live tenant.
create function tenants_delete_1(tenant uuid, actor jsonb) returns boolean
language plpgsql
set search_path from current
as $$
begin
    update tenants as t
    set
        deleted_at = now(),
        updated_at = greatest(now(), t.updated_at + interval '1 microsecond'),
        changed_by = actor
    where t.id = tenant
        and t.deleted_at is null;
    if not found then
        return false;
    end if;
    update api_keys as k
    set
        revoked_at = now(),
        changed_by = actor
    where k.tenant_id = tenant
        and k.scope is not null
        and k.revoked_at is null;
    return true;
end
$$;
