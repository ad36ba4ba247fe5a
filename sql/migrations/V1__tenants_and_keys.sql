-- Who owns what, and the keys that prove it.

create table tenants (
    id uuid not null,
    name text not null,
    -- Grows when a subscription is created, deleted or given other event types: a list of them
    -- made elsewhere is current while this is equal.
    subscriptions_version bigint not null default 1,
    created_at timestamptz not null default now(),
    constraint tenants_pkey primary key (id),
    constraint tenants_name_unique unique (name),
    constraint tenants_name_length check (char_length(name) between 1 and 100),
    constraint tenants_subscriptions_version_positive check (subscriptions_version > 0)
);

-- The tenant of every request where POSTRIDER_AUTH=off.
insert into tenants (id, name)
values ('00000000-0000-7000-8000-000000000000', 'default');

-- A key is shown once; stored is the SHA-256 of its secret half.
create table api_keys (
    tenant_id uuid not null,
    id uuid not null,
    scope text not null,
    secret_hash bytea not null,
    created_at timestamptz not null default now(),
    last_used_at timestamptz,
    revoked_at timestamptz,
    constraint api_keys_pkey primary key (id),
    constraint api_keys_tenant_fkey foreign key (tenant_id) references tenants (id),
    constraint api_keys_scope_known check (scope in ('admin', 'publish', 'read')),
    constraint api_keys_hash_length check (octet_length(secret_hash) = 32)
);

create index api_keys_tenant on api_keys (tenant_id, id);
