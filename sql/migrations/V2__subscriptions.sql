-- Where a receiver wants which events.

create table subscriptions (
    tenant_id uuid not null,
    id uuid not null,
    -- Grows by one with every write: a copy made elsewhere is current while this is equal.
    version bigint not null default 1,
    target_url text not null,
    -- Sealed with a master key; bound to tenant_id and id.
    secret bytea not null,
    -- Empty: all types, and events without one.
    event_types text[] not null default '{}',
    description text,
    is_active boolean not null default true,
    -- Why postrider disabled it; null when its owner did, or when it is active.
    disabled_reason text,
    verify_ingest boolean not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    -- Deletion is soft, so that logs stay readable until retention.
    deleted_at timestamptz,
    constraint subscriptions_pkey primary key (tenant_id, id),
    -- Ingest with a signature alone knows the id and not yet the tenant.
    constraint subscriptions_id_unique unique (id),
    constraint subscriptions_tenant_fkey foreign key (tenant_id) references tenants (id),
    constraint subscriptions_version_positive check (version > 0),
    constraint subscriptions_active_has_no_reason check (disabled_reason is null or not is_active)
);
