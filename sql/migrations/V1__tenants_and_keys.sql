create table tenants (
    id uuid not null,
    -- The operator's own id for it, accepted instead of the id; never a UUID.
    external_id text,
    name text not null,
    metadata jsonb not null default '{}',
    -- Null: the instance's default.
    max_subscriptions integer,
    publish_per_second integer,
    subscription_count integer not null default 0,
    -- Grows when a subscription is created, deleted or given other event types or another filter:
    -- invalidates cached lists.
    subscriptions_version bigint not null default 1,
    -- When an event type that checks payloads was last changed; null: there was none yet.
    schemas_changed_at timestamptz,
    -- The last writer: {"kind", "key", "request_id", "at"}; null for postrider itself.
    changed_by jsonb,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz,
    constraint tenants_pkey primary key (id),
    constraint tenants_name_length check (char_length(name) between 1 and 100),
    constraint tenants_external_id_length check (char_length(external_id) between 1 and 255),
    constraint tenants_max_subscriptions_positive check (max_subscriptions > 0),
    constraint tenants_publish_per_second_positive check (publish_per_second > 0),
    constraint tenants_subscription_count_counted check (subscription_count >= 0),
    constraint tenants_subscriptions_version_positive check (subscriptions_version > 0)
);

create unique index tenants_external_id on tenants (external_id)
where deleted_at is null;

create index tenants_updated on tenants (updated_at);

create index tenants_schemas_changed on tenants (schemas_changed_at)
where schemas_changed_at is not null;

create index tenants_to_end on tenants (id)
where deleted_at is not null and subscription_count > 0;

-- The default tenant with POSTRIDER_AUTH=off.
insert into tenants (id, external_id, name)
values ('00000000-0000-7000-8000-000000000000', 'default', 'default');

-- Keys and portal sessions. The secret half is shown once and stored as SHA-256.
create table api_keys (
    -- Null: an operator key, for all tenants.
    tenant_id uuid,
    id uuid not null,
    name text,
    -- Of a key; null: a portal session.
    scope text,
    -- Of a portal session: what its holder may do; null: a key.
    capabilities text[],
    secret_hash bytea not null,
    changed_by jsonb,
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz,
    constraint api_keys_pkey primary key (id),
    constraint api_keys_tenant_fkey foreign key (tenant_id) references tenants (id),
    constraint api_keys_name_length check (char_length(name) between 1 and 100),
    constraint api_keys_scope_known check (scope in ('admin', 'publish', 'read', 'support')),
    constraint api_keys_scope_or_capabilities check ((scope is null) <> (capabilities is null)),
    constraint api_keys_capabilities_known check (
        cardinality(capabilities) > 0 and capabilities <@ array['read', 'manage']
    ),
    constraint api_keys_session_ends check (
        capabilities is null or (tenant_id is not null and expires_at is not null)
    ),
    constraint api_keys_hash_length check (octet_length(secret_hash) = 32)
);

-- A list of keys never walks over portal sessions.
create index api_keys_tenant on api_keys (tenant_id, id)
where scope is not null;

create index api_keys_scope on api_keys (id)
where scope is not null;

create index api_keys_sessions on api_keys (tenant_id, expires_at)
where capabilities is not null and revoked_at is null;

create index api_keys_sessions_expired on api_keys (expires_at)
where capabilities is not null;

create index api_keys_revoked on api_keys (revoked_at)
where revoked_at is not null;

-- One row per change, manual retry, cancel and replay, in the same commit. Append-only until retention.
create table audit (
    tenant_id uuid,
    id uuid not null,
    -- Of the change, as its id; not of the transaction's beginning, which may be long before.
    at timestamptz not null default clock_timestamp(),
    actor_kind text not null,
    actor_key uuid,
    action text not null,
    object_kind text not null,
    object_id uuid not null,
    before jsonb,
    after jsonb,
    request_id text,
    constraint audit_pkey primary key (id),
    constraint audit_actor_kind_known check (actor_kind in ('key', 'portal', 'anonymous', 'command', 'postrider', 'sql')),
    constraint audit_actor_has_its_key check (actor_kind in ('key', 'portal') or actor_key is null)
);

create index audit_tenant on audit (tenant_id, id);

create index audit_object on audit (object_id, id);

create index audit_key on audit (actor_key, id)
where actor_key is not null;

create function changed_entries(document jsonb, other jsonb) returns jsonb
language plpgsql immutable parallel safe
set search_path from current
as $$
begin
    return (
        select jsonb_object_agg(e.key, e.value)
        from jsonb_each(document) as e (key, value)
        where other is null
            or other -> e.key is distinct from e.value
    );
end
$$;

-- `actor` is a `changed_by`; null for postrider itself.
create function write_audit(
    actor jsonb,
    tenant uuid,
    action text,
    object_kind text,
    object uuid,
    document_before jsonb,
    document_after jsonb
)
returns void
language plpgsql
set search_path from current
as $$
declare
    at constant timestamptz := clock_timestamp();
begin
    insert into audit (
        tenant_id, id, at, actor_kind, actor_key, action, object_kind, object_id, before, after, request_id
    )
    values (
        tenant,
        uuid_v7(at),
        at,
        coalesce(actor ->> 'kind', 'postrider'),
        (actor ->> 'key')::uuid,
        object_kind || '.' || action,
        object_kind,
        object,
        changed_entries(document_before, document_after),
        changed_entries(document_after, document_before),
        actor ->> 'request_id'
    );
end
$$;

-- 'sql' if the statement did not set it: the row still has its last writer.
create function changed_by_whom(written jsonb, stood jsonb) returns jsonb
language sql immutable parallel safe
set search_path from current
return case when written is not null and written = stood then '{"kind": "sql"}'::jsonb else written end;

create function tenant_document(t tenants) returns jsonb
language sql immutable
set search_path from current
return jsonb_build_object(
    'name', t.name,
    'external_id', t.external_id,
    'metadata', t.metadata,
    'max_subscriptions', t.max_subscriptions,
    'publish_per_second', t.publish_per_second
);

create function audit_tenant() returns trigger
language plpgsql
set search_path from current
as $$
begin
    if tg_op = 'INSERT' then
        perform write_audit(new.changed_by, new.id, 'created', 'tenant', new.id, null, tenant_document(new));
    elsif new.deleted_at is not null then
        perform write_audit(
            changed_by_whom(new.changed_by, old.changed_by), new.id, 'deleted', 'tenant', new.id,
            tenant_document(old), null
        );
    else
        perform write_audit(
            changed_by_whom(new.changed_by, old.changed_by), new.id, 'updated', 'tenant', new.id,
            tenant_document(old), tenant_document(new)
        );
    end if;
    return null;
end
$$;

create trigger tenants_created
after insert on tenants
for each row
execute function audit_tenant();

create trigger tenants_changed
after update on tenants
for each row
when (old.updated_at <> new.updated_at or old.deleted_at is distinct from new.deleted_at)
execute function audit_tenant();

create function api_key_document(k api_keys) returns jsonb
language sql immutable
set search_path from current
return case
    when k.capabilities is null then jsonb_build_object(
        'name', k.name, 'scope', k.scope, 'tenant_id', k.tenant_id, 'expires_at', k.expires_at
    )
    else jsonb_build_object(
        'capabilities', k.capabilities, 'tenant_id', k.tenant_id, 'expires_at', k.expires_at
    )
end;

create function audit_api_key() returns trigger
language plpgsql
set search_path from current
as $$
declare
    kind constant text := case when new.capabilities is null then 'key' else 'portal_session' end;
begin
    if tg_op = 'INSERT' then
        perform write_audit(new.changed_by, new.tenant_id, 'created', kind, new.id, null, api_key_document(new));
    else
        perform write_audit(
            changed_by_whom(new.changed_by, old.changed_by), new.tenant_id, 'revoked', kind, new.id,
            api_key_document(old), null
        );
    end if;
    return null;
end
$$;

create trigger api_keys_created
after insert on api_keys
for each row
execute function audit_api_key();

create trigger api_keys_revoked
after update on api_keys
for each row
when (old.revoked_at is null and new.revoked_at is not null)
execute function audit_api_key();
