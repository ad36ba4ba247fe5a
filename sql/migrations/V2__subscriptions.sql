-- Subscriptions and the health of their receivers.

-- The index subscriptions_of_system_events repeats this list.
create function system_event_types() returns text[]
language sql immutable parallel safe
set search_path from current
return array[
    'subscription.failing', 'subscription.disabled', 'subscription.recovered', 'delivery.failed', 'replay.finished'
];

create table subscriptions (
    tenant_id uuid not null,
    id uuid not null,
    -- Grows with every write, at least to the time in microseconds: invalidates copies even after a restore.
    version bigint not null default 1,
    -- tenants.subscriptions_version of the last change of who gets an event.
    listed_version bigint not null default 0,
    -- The customer's own id for it; never a UUID.
    external_id text,
    target_url text not null,
    event_types text[] not null default '{}',
    -- Conditions on the payload, as JSON without white space; null: none.
    filter text,
    description text,
    metadata jsonb not null default '{}',
    is_active boolean not null default true,
    -- Null unless postrider disabled it.
    disabled_reason text,
    -- Who disabled it, and when; null when postrider did, or when it is active.
    disabled_by text,
    verify_ingest boolean not null,
    -- Sealed with a master key for tenant_id and id.
    secret bytea not null,
    -- Replaced secrets, newest first, sealed likewise, and their ends.
    older_secrets bytea[] not null default '{}',
    older_until timestamptz[] not null default '{}',
    header_names text[] not null default '{}',
    auth_type text,
    sealed_headers bytea,
    retry_schedule text,
    request_timeout_ms integer,
    -- 15 s more than an attempt, to record its outcome.
    least_lease_seconds double precision generated always as (request_timeout_ms / 1000.0 + 15) stored,
    rate_limit integer,
    max_in_flight integer,
    is_ordered boolean not null default false,
    skip_after_attempts integer,
    -- Copied from subscription_health.state by a trigger that does not raise the version.
    breaker text,
    is_paced boolean not null
        generated always as (rate_limit is not null or max_in_flight is not null or breaker is not null) stored,
    -- The last system event about it: 'failing' or 'disabled'; null after 'recovered'.
    notified text,
    changed_by jsonb,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz,
    -- What it says of its producer; null: the known signature that a request has.
    ingest jsonb,
    -- Sealed likewise; null: the subscription's own secret.
    ingest_secret bytea,
    constraint subscriptions_pkey primary key (tenant_id, id),
    -- Ingest with only a signature does not know the tenant.
    constraint subscriptions_id_unique unique (id),
    constraint subscriptions_tenant_fkey foreign key (tenant_id) references tenants (id),
    constraint subscriptions_version_positive check (version > 0),
    constraint subscriptions_active_has_no_reason
        check ((disabled_reason is null and disabled_by is null) or not is_active),
    constraint subscriptions_older_paired check (cardinality(older_secrets) = cardinality(older_until)),
    constraint subscriptions_older_few check (cardinality(older_secrets) <= 4),
    constraint subscriptions_auth_known check (auth_type in ('basic', 'bearer')),
    constraint subscriptions_headers_sealed
        check ((sealed_headers is not null) = (auth_type is not null or cardinality(header_names) > 0)),
    constraint subscriptions_request_timeout_range check (request_timeout_ms between 1000 and 60000),
    constraint subscriptions_rate_limit_positive check (rate_limit > 0),
    constraint subscriptions_max_in_flight_positive check (max_in_flight > 0),
    constraint subscriptions_skip_after_positive check (skip_after_attempts > 0),
    constraint subscriptions_breaker_known check (breaker in ('open', 'throttled', 'recovering')),
    constraint subscriptions_notified_known check (notified in ('failing', 'disabled')),
    constraint subscriptions_ingest_has_its_secret check (ingest_secret is null or ingest ? 'provider')
);

create unique index subscriptions_external_id on subscriptions (tenant_id, external_id)
where external_id is not null and deleted_at is null;

-- Over a hash, so that only subscriptions/changed uses it, never a search for one subscription.
create index subscriptions_listed on subscriptions (uuid_hash_extended(tenant_id, 0), listed_version);

-- For lists and searches, however many were deleted before.
create index subscriptions_live on subscriptions (tenant_id, id)
where deleted_at is null;

create index subscriptions_deleted on subscriptions (deleted_at)
where deleted_at is not null;

create index subscriptions_of_system_events on subscriptions (tenant_id, id)
where event_types && system_event_types();

create index subscriptions_to_notify on subscriptions (id)
where notified is not null or disabled_reason is not null;

-- `actor` is a `changed_by`.
create function by_whom(actor jsonb, moment timestamptz) returns text
language sql stable parallel safe
set search_path from current
return case
    when actor ->> 'kind' = 'key' then 'by key ' || (actor ->> 'key')
    when actor ->> 'kind' = 'portal' then 'in the portal session ' || (actor ->> 'key')
    when actor ->> 'kind' = 'anonymous' then 'by a request without a key'
    when actor ->> 'kind' = 'command' then 'at the command line'
    else 'by ' || coalesce(actor ->> 'kind', 'postrider')
end || ' at ' || to_char(moment at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"');

-- A row exists only while a receiver fails or recovers, so that a healthy one costs no write.
create table subscription_health (
    subscription_id uuid not null,
    tenant_id uuid not null,
    state text,
    failures integer not null default 0,
    failing_since timestamptz,
    last_failure_at timestamptz,
    opened_at timestamptz,
    probe_at timestamptz,
    probes integer not null default 0,
    width integer,
    warnings integer not null default 0,
    constraint subscription_health_pkey primary key (subscription_id),
    constraint subscription_health_state_known check (state in ('open', 'throttled', 'recovering')),
    constraint subscription_health_waits_for_a_time
        check (state is null or state = 'recovering' or probe_at is not null),
    constraint subscription_health_recovers_by_width check ((state = 'recovering') is not true or width > 0),
    constraint subscription_health_failures_counted check (failures >= 0)
);

create index subscription_health_failing on subscription_health (failing_since)
where failing_since is not null;

create table owners (
    subscription_id uuid not null,
    tenant_id uuid not null,
    owner uuid not null,
    until timestamptz not null,
    constraint owners_pkey primary key (subscription_id),
    constraint owners_until_finite check (until < 'infinity')
);

-- The lock on the tenant lasts until the commit: a reader of a version sees every row with a smaller one.
create function raise_subscriptions_version() returns trigger
language plpgsql
set search_path from current
as $$
declare
    stamp constant bigint := extract(epoch from now()) * 1000000;
    written uuid[];
    tenant_ids uuid[];
    added integer[];
begin
    if tg_op = 'INSERT' then
        written := array(select n.id from new_rows as n);
        select array_agg(c.tenant_id), array_agg(c.added)
        into tenant_ids, added
        from (
            select n.tenant_id, count(*) filter (where n.deleted_at is null) as added
            from new_rows as n
            group by n.tenant_id
        ) as c;
    else
        written := array(
            select n.id
            from new_rows as n
            inner join old_rows as o
                on o.tenant_id = n.tenant_id
                and o.id = n.id
            where n.event_types <> o.event_types
                or n.filter is distinct from o.filter
                or (n.deleted_at is null) <> (o.deleted_at is null)
        );
        select array_agg(c.tenant_id), array_agg(c.added)
        into tenant_ids, added
        from (
            select
                n.tenant_id,
                count(*) filter (where n.deleted_at is null) - count(*) filter (where o.deleted_at is null) as added
            from new_rows as n
            inner join old_rows as o
                on o.tenant_id = n.tenant_id
                and o.id = n.id
            where n.id = any(written)
            group by n.tenant_id
        ) as c;
    end if;
    if cardinality(written) > 0 then
        with raised as (
            update tenants as t
            set
                subscriptions_version = greatest(t.subscriptions_version + 1, stamp),
                subscription_count = t.subscription_count + c.added
            from unnest(tenant_ids, added) as c (tenant_id, added)
            where t.id = c.tenant_id
            returning t.id, t.subscriptions_version
        )
        update subscriptions as s
        set listed_version = r.subscriptions_version
        from raised as r
        where s.tenant_id = r.id
            and s.id = any(written);
    end if;
    return null;
end
$$;

create trigger subscriptions_created
after insert on subscriptions
referencing new table as new_rows
for each statement
execute function raise_subscriptions_version();

create trigger subscriptions_changed
after update on subscriptions
referencing old table as old_rows new table as new_rows
for each statement
execute function raise_subscriptions_version();

create function copy_breaker() returns trigger
language plpgsql
set search_path from current
as $$
declare
    copied constant text := case when tg_op <> 'DELETE' then new.state end;
    copied_to constant uuid := case when tg_op = 'DELETE' then old.subscription_id else new.subscription_id end;
begin
    update subscriptions
    set breaker = copied
    where id = copied_to
        and breaker is distinct from copied;
    return null;
end
$$;

create trigger subscription_health_copied
after insert or update of state or delete on subscription_health
for each row
execute function copy_breaker();

create function subscription_document(s subscriptions) returns jsonb
language sql immutable
set search_path from current
return jsonb_build_object(
    'external_id', s.external_id,
    'target_url', s.target_url,
    'event_types', s.event_types,
    'filter', s.filter::jsonb,
    'description', s.description,
    'metadata', s.metadata,
    'is_active', s.is_active,
    'disabled_reason', coalesce(s.disabled_reason, s.disabled_by),
    'verify_ingest', s.verify_ingest,
    'headers', s.header_names,
    'auth', s.auth_type,
    'retry_schedule', s.retry_schedule,
    'request_timeout_ms', s.request_timeout_ms,
    'rate_limit', s.rate_limit,
    'max_in_flight', s.max_in_flight,
    'is_ordered', s.is_ordered,
    'skip_after_attempts', s.skip_after_attempts,
    'ingest', s.ingest
);

create function audit_subscription() returns trigger
language plpgsql
set search_path from current
as $$
declare
    -- Sealing uses a fresh salt, so another text is another secret.
    has_new_secret boolean;
    has_new_headers boolean;
    has_new_ingest_secret boolean;
begin
    if tg_op = 'INSERT' then
        perform write_audit(
            new.changed_by, new.tenant_id, 'created', 'subscription', new.id, null, subscription_document(new)
        );
        return null;
    end if;
    has_new_secret := new.secret <> old.secret;
    has_new_headers := new.sealed_headers is distinct from old.sealed_headers;
    has_new_ingest_secret := new.ingest_secret is distinct from old.ingest_secret;
    perform write_audit(
        changed_by_whom(new.changed_by, old.changed_by),
        new.tenant_id,
        case
            when new.deleted_at is not null then 'deleted'
            when has_new_secret
                and not has_new_headers
                and not has_new_ingest_secret
                and subscription_document(new) = subscription_document(old) then 'secret_rotated'
            when old.is_active and not new.is_active then 'disabled'
            when new.is_active and not old.is_active then 'enabled'
            else 'updated'
        end,
        'subscription',
        new.id,
        subscription_document(old)
        || case when has_new_secret then '{"secret_key": "********"}' else '{}' end::jsonb
        || case when has_new_headers then '{"header_values": "********"}' else '{}' end::jsonb
        || case when has_new_ingest_secret then '{"ingest_secret": "********"}' else '{}' end::jsonb,
        case
            when new.deleted_at is null then
                subscription_document(new)
                || case when has_new_secret then '{"secret_key": "******** (another)"}' else '{}' end::jsonb
                || case when has_new_headers then '{"header_values": "******** (others)"}' else '{}' end::jsonb
                || case when has_new_ingest_secret then '{"ingest_secret": "******** (another)"}' else '{}' end::jsonb
        end
    );
    return null;
end
$$;

create trigger subscriptions_created_by
after insert on subscriptions
for each row
execute function audit_subscription();

-- postrider's own columns do not raise the version.
create trigger subscriptions_changed_by
after update on subscriptions
for each row
when (old.version <> new.version)
execute function audit_subscription();

-- What a tenant says of its event types. Schemas and examples are kept as they were given, without white space.
create table event_types (
    tenant_id uuid not null,
    id uuid not null,
    name text not null,
    description text,
    schema text,
    example text,
    is_deprecated boolean not null,
    -- Whether payloads must keep to the schema.
    is_validated boolean not null,
    changed_by jsonb,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint event_types_pkey primary key (tenant_id, id),
    constraint event_types_name_unique unique (tenant_id, name),
    constraint event_types_tenant_fkey foreign key (tenant_id) references tenants (id),
    constraint event_types_validated_has_schema check (schema is not null or not is_validated)
);

-- Replicas poll for that time; a schema that only documents does not move it.
create function note_schema_change() returns trigger
language plpgsql
set search_path from current
as $$
declare
    at constant timestamptz := clock_timestamp();
begin
    if (tg_op <> 'INSERT' and old.is_validated) or (tg_op <> 'DELETE' and new.is_validated) then
        update tenants as t
        set schemas_changed_at = greatest(at, t.schemas_changed_at + interval '1 microsecond')
        where t.id = case when tg_op = 'DELETE' then old.tenant_id else new.tenant_id end;
    end if;
    return null;
end
$$;

create trigger event_types_noted
after insert or update or delete on event_types
for each row
execute function note_schema_change();

create function event_type_document(e event_types) returns jsonb
language sql immutable
set search_path from current
return jsonb_build_object(
    'name', e.name,
    'description', e.description,
    'schema', e.schema,
    'example', e.example,
    'deprecated', e.is_deprecated,
    'validate', e.is_validated
);

create function audit_event_type() returns trigger
language plpgsql
set search_path from current
as $$
begin
    perform write_audit(
        case when tg_op = 'INSERT' then new.changed_by else changed_by_whom(new.changed_by, old.changed_by) end,
        new.tenant_id,
        case when tg_op = 'INSERT' then 'created' else 'updated' end,
        'event_type',
        new.id,
        case when tg_op = 'UPDATE' then event_type_document(old) end,
        event_type_document(new)
    );
    return null;
end
$$;

create trigger event_types_changed_by
after insert or update on event_types
for each row
execute function audit_event_type();
