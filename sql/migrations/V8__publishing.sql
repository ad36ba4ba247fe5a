-- Publishing from SQL: a caller inserts into the outbox in its own transaction; intake publishes what is committed.

-- No foreign keys and no shared rows: nothing of ours waits for the caller's commit.
create table outbox (
    -- The event's id. Carries microseconds, so that it also orders the rows of one session.
    id uuid not null,
    tenant_id uuid not null,
    event_type text,
    payload bytea not null,
    -- The only recipient; null: every subscription that wants it.
    subscription_id uuid,
    idempotency_key text,
    -- Of a row with an idempotency key.
    fingerprint bytea,
    ordering_key text,
    deliver_at timestamptz,
    expires_at timestamptz,
    constraint outbox_pkey primary key (id),
    constraint outbox_key_has_fingerprint check ((idempotency_key is null) = (fingerprint is null)),
    -- Other times cannot be written as RFC 3339, and not all of them can be read.
    constraint outbox_times_have_four_digits check (
        extract(year from deliver_at at time zone 'UTC') between 1 and 9999
        and extract(year from expires_at at time zone 'UTC') between 1 and 9999
    )
) with (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 10000,
    autovacuum_vacuum_cost_delay = 0,
    vacuum_truncate = off
);

create index outbox_ordered on outbox (tenant_id, ordering_key, id)
where ordering_key is not null;

-- For searches: a tenant's rows are found however many others wait.
create index outbox_of_tenant on outbox (tenant_id, id);

-- Not unique: a second caller with the key must not wait for the first one's commit.
create index outbox_idempotent on outbox (tenant_id, idempotency_key)
where idempotency_key is not null;

-- What left the outbox without becoming an event.
create table unpublished (
    id uuid not null,
    tenant_id uuid not null,
    ended_at timestamptz not null default now(),
    -- As of a problem of the API, or `duplicate`.
    code text not null,
    detail text,
    -- The event with the same idempotency key that was published before.
    duplicate_of uuid,
    event_type text,
    -- Null for a duplicate.
    payload bytea,
    subscription_id uuid,
    idempotency_key text,
    ordering_key text,
    deliver_at timestamptz,
    expires_at timestamptz,
    constraint unpublished_pkey primary key (id),
    constraint unpublished_is_refused_or_duplicate check ((code = 'duplicate') = (duplicate_of is not null))
);

-- For searches.
create index unpublished_refused on unpublished (tenant_id, id)
where code <> 'duplicate';

create index unpublished_ended on unpublished using brin (ended_at) with (pages_per_range = 32, autosummarize = on);

-- Which process publishes from the outbox. It saves work; no correctness depends on it.
create table outbox_lease (
    is_only boolean not null default true,
    holder uuid,
    ends_at timestamptz not null default '-infinity',
    -- Of its holder: larger payloads, and a later deliver_at, are refused at once.
    max_payload_bytes integer,
    delivery_lifetime interval,
    constraint outbox_lease_pkey primary key (is_only),
    constraint outbox_lease_is_one_row check (is_only)
);

insert into outbox_lease (is_only)
values (true);

create function uuid_v7_ordered(at timestamptz) returns uuid
language plpgsql volatile parallel safe
set search_path from current
as $$
declare
    micros constant bigint := extract(epoch from at) * 1000000;
begin
    return (
        lpad(to_hex(micros / 1000), 12, '0')
        || '7' || lpad(to_hex(micros % 1000 * 4096 / 1000), 3, '0')
        || substr(replace(gen_random_uuid()::text, '-', ''), 17)
    )::uuid;
end
$$;

-- A part of a fingerprint: its length, then itself.
create function fingerprint_part(part bytea) returns bytea
language sql immutable parallel safe
set search_path from current
return int8send(coalesce(octet_length(part), 0)::bigint) || coalesce(part, '');

-- Nanoseconds since 1970 as 16 bytes.
create function fingerprint_time(at timestamptz) returns bytea
language plpgsql immutable parallel safe
set search_path from current
as $$
declare
    nanos constant numeric := floor(extract(epoch from at) * 1000000) * 1000;
    whole constant numeric := 18446744073709551616;
    low constant numeric := mod(mod(nanos, whole) + whole, whole);
begin
    return int8send(((nanos - low) / whole)::bigint)
        || int8send((case when low < whole / 2 then low else low - whole end)::bigint);
end
$$;

-- The functions below run with their owner's rights: pg_temp comes last, so that no temporary table of a caller is
-- taken for ours.
select set_config('search_path', current_schema() || ', pg_temp', true);

create function outbox_find_tenant(wanted text) returns uuid
language plpgsql stable
set search_path from current
set enable_seqscan = off
as $$
declare
    found_id uuid;
begin
    if wanted ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then
        select t.id
        into found_id
        from tenants as t
        where t.id = wanted::uuid
            and t.deleted_at is null;
    else
        select t.id
        into found_id
        from tenants as t
        where t.external_id = coalesce(wanted, 'default')
            and t.deleted_at is null;
    end if;
    if found_id is null then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format('tenant: there is no tenant with the id or external id %L', coalesce(wanted, 'default')),
            hint = 'PUT /tenants/{external_id} makes one; without the argument the tenant "default" is meant.';
    end if;
    return found_id;
end
$$;

create function outbox_find_subscription(owner uuid, wanted text) returns uuid
language plpgsql stable
set search_path from current
set enable_seqscan = off
as $$
declare
    found_id uuid;
begin
    if wanted ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then
        select s.id
        into found_id
        from subscriptions as s
        where s.tenant_id = owner
            and s.id = wanted::uuid
            and s.deleted_at is null;
    else
        select s.id
        into found_id
        from subscriptions as s
        where s.tenant_id = owner
            and s.external_id = wanted
            and s.deleted_at is null;
    end if;
    if found_id is null then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format('subscription_id: the tenant has no subscription with the id or external id %L', wanted),
            hint = 'Without the argument the event goes to every subscription of the tenant that wants it.';
    end if;
    return found_id;
end
$$;

-- What SQL can check alone; a replica checks the rest when it publishes.
create function outbox_check(
    event_type text,
    idempotency_key text,
    ordering_key text,
    deliver_at timestamptz,
    expires_at timestamptz
)
returns void
language plpgsql stable
set search_path from current
as $$
declare
    most constant interval := (
        select l.delivery_lifetime from outbox_lease as l where l.ends_at > now()
    );
    broken text;
begin
    broken := case
        when event_type !~ '^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$' or length(event_type) > 128
            then 'event_type: must be up to 128 characters: segments of ASCII letters, digits, _ or -, separated by dots'
        when idempotency_key !~ '^[!-~]{1,255}$' then 'idempotency_key: must be 1 to 255 visible ASCII characters'
        when ordering_key !~ '^[!-~]{1,255}$' then 'ordering_key: must be 1 to 255 visible ASCII characters'
        when extract(year from deliver_at at time zone 'UTC') not between 1 and 9999
            then 'deliver_at: must be in the years 1 to 9999'
        when extract(year from expires_at at time zone 'UTC') not between 1 and 9999
            then 'expires_at: must be in the years 1 to 9999'
        when ordering_key is not null and deliver_at is not null
            then 'deliver_at: must not be given together with ordering_key'
        when deliver_at > clock_timestamp() + most
            then format(
                'deliver_at: must be at most %s s ahead, the POSTRIDER_DELIVERY_LIFETIME',
                round(extract(epoch from most))
            )
        when expires_at <= clock_timestamp() then 'expires_at: must be in the future'
        when expires_at <= deliver_at then 'expires_at: must be after deliver_at'
    end;
    if broken is not null then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = broken,
            hint = 'Arguments have names: postrider.publish(''order.paid'', payload, ordering_key => ''customer-7'').';
    end if;
end
$$;

create function outbox_check_payload(payload bytea) returns void
language plpgsql stable
set search_path from current
as $$
declare
    most constant integer := (
        select l.max_payload_bytes from outbox_lease as l where l.ends_at > now()
    );
    kind text;
begin
    if octet_length(payload) > most then
        raise exception using
            errcode = 'program_limit_exceeded',
            message = format('payload: has %s bytes, and POSTRIDER_MAX_PAYLOAD_BYTES is %s', octet_length(payload), most),
            hint = 'Publish a reference to the data, or raise the setting on every replica.';
    end if;
    begin
        kind := json_typeof(convert_from(payload, 'UTF8')::json);
    exception
        when data_exception then kind := null;
    end;
    if kind is null or kind not in ('object', 'array') then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = 'payload: must be a JSON object or array in UTF-8',
            hint = 'As in ''{"id": 1}''::jsonb or jsonb_build_object(''id'', 1).';
    end if;
end
$$;

-- The same hash as of a request to publish, so that one idempotency key serves both.
create function outbox_fingerprint(
    subscription uuid,
    event_type text,
    deliver_at timestamptz,
    expires_at timestamptz,
    payload bytea,
    ordering_key text
)
returns bytea
language plpgsql immutable
set search_path from current
as $$
begin
    return sha256(
        fingerprint_part('publish')
        || fingerprint_part(uuid_send(subscription))
        || fingerprint_part(convert_to(event_type, 'UTF8'))
        || fingerprint_part(fingerprint_time(deliver_at))
        || fingerprint_part(fingerprint_time(expires_at))
        || fingerprint_part(payload)
        || fingerprint_part(convert_to(ordering_key, 'UTF8'))
    );
end
$$;

-- The id of the event with this key that is published or committed to the outbox; null if there is none.
create function outbox_find_key(owner uuid, used_key text, print bytea) returns uuid
language plpgsql stable
set search_path from current
set enable_seqscan = off
as $$
declare
    earlier uuid;
    is_same boolean;
begin
    select k.event_id, k.fingerprint = print
    into earlier, is_same
    from idempotency_keys as k
    where k.tenant_id = owner
        and k.key = used_key;
    if earlier is null then
        select o.id, o.fingerprint = print
        into earlier, is_same
        from outbox as o
        where o.tenant_id = owner
            and o.idempotency_key = used_key
        order by o.id
        limit 1;
    end if;
    if not is_same then
        raise exception using
            errcode = 'unique_violation',
            message = format('idempotency_key: %L was used for another event', used_key),
            detail = format('The event %s has another payload, type, recipient, time or ordering key.', earlier),
            hint = 'Use one key for one event, for example the id of the row that it is about.';
    end if;
    return earlier;
end
$$;

create function outbox_publish(
    event_type text,
    payload bytea,
    tenant text,
    subscription_id text,
    idempotency_key text,
    ordering_key text,
    deliver_at timestamptz,
    expires_at timestamptz,
    notify boolean
)
returns uuid
language plpgsql
set search_path from current
as $$
declare
    owner constant uuid := outbox_find_tenant(tenant);
    event_id uuid := uuid_v7_ordered(clock_timestamp());
    recipient uuid;
    earlier uuid;
    print bytea;
begin
    perform outbox_check(event_type, idempotency_key, ordering_key, deliver_at, expires_at);
    perform outbox_check_payload(payload);
    if subscription_id is not null then
        recipient := outbox_find_subscription(owner, subscription_id);
    end if;
    if idempotency_key is not null then
        print := outbox_fingerprint(recipient, event_type, deliver_at, expires_at, payload, ordering_key);
        earlier := outbox_find_key(owner, idempotency_key, print);
        if earlier is not null then
            return earlier;
        end if;
    end if;
    insert into outbox (
        id, tenant_id, event_type, payload, subscription_id, idempotency_key, fingerprint, ordering_key, deliver_at,
        expires_at
    )
    values (
        event_id, owner, event_type, payload, recipient, idempotency_key, print, ordering_key, deliver_at, expires_at
    );
    if notify is not false then
        -- Sent at the commit, once for all calls of a transaction.
        perform pg_notify('postrider_outbox', '');
    end if;
    return event_id;
end
$$;

-- The users' interface. Arguments are added at the end and with a default, in place; none goes or changes its meaning.
create function publish(
    event_type text,
    payload bytea,
    tenant text default null,
    subscription_id text default null,
    idempotency_key text default null,
    ordering_key text default null,
    deliver_at timestamptz default null,
    expires_at timestamptz default null,
    notify boolean default true
)
returns uuid
language plpgsql security definer
set search_path from current
as $$
begin
    return outbox_publish(
        event_type, payload, tenant, subscription_id, idempotency_key, ordering_key, deliver_at, expires_at, notify
    );
end
$$;

create function publish(
    event_type text,
    payload text,
    tenant text default null,
    subscription_id text default null,
    idempotency_key text default null,
    ordering_key text default null,
    deliver_at timestamptz default null,
    expires_at timestamptz default null,
    notify boolean default true
)
returns uuid
language plpgsql security definer
set search_path from current
as $$
begin
    return outbox_publish(
        event_type, convert_to(payload, 'UTF8'), tenant, subscription_id, idempotency_key, ordering_key, deliver_at,
        expires_at, notify
    );
end
$$;

create function publish(
    event_type text,
    payload jsonb,
    tenant text default null,
    subscription_id text default null,
    idempotency_key text default null,
    ordering_key text default null,
    deliver_at timestamptz default null,
    expires_at timestamptz default null,
    notify boolean default true
)
returns uuid
language plpgsql security definer
set search_path from current
as $$
begin
    return outbox_publish(
        event_type, convert_to(payload::text, 'UTF8'), tenant, subscription_id, idempotency_key, ordering_key,
        deliver_at, expires_at, notify
    );
end
$$;

-- The functions named publish of this installation.
create function publish_functions() returns table (routine regprocedure, place regnamespace)
language plpgsql stable
set search_path from current
as $$
begin
    return query
    select p.oid::regprocedure, p.pronamespace::regnamespace
    from pg_proc as p
    where p.proname = 'publish'
        and p.prosecdef
        and p.proconfig @> array['search_path=' || current_schema() || ', pg_temp'];
end
$$;

-- Lets the role postrider_publisher publish, and nobody else but the owner. Returns whether there is such a role.
create function grant_publishing() returns boolean
language plpgsql
set search_path from current
as $$
declare
    of_ours record;
begin
    for of_ours in select f.routine, f.place from publish_functions() as f loop
        execute format('revoke all on function %s from public', of_ours.routine);
        if to_regrole('postrider_publisher') is not null then
            execute format('grant usage on schema %s to postrider_publisher', of_ours.place);
            execute format('grant execute on function %s to postrider_publisher', of_ours.routine);
        end if;
    end loop;
    return to_regrole('postrider_publisher') is not null;
end
$$;

-- The first installation of a database has its functions in the schema `postrider`, if that may be made. Those of others
-- stay in the schema of their tables.
create function place_publishing() returns void
language plpgsql
set search_path from current
as $$
declare
    of_ours record;
begin
    if to_regnamespace('postrider') is null and has_database_privilege(current_database(), 'create') then
        create schema postrider;
    end if;
    if coalesce(has_schema_privilege(to_regnamespace('postrider')::oid, 'create'), false)
        and not exists (
            select 1
            from pg_proc as p
            where p.pronamespace = to_regnamespace('postrider')
                and p.proname = 'publish'
        ) then
        for of_ours in select f.routine from publish_functions() as f loop
            execute format('alter function %s set schema postrider', of_ours.routine);
        end loop;
    end if;
    perform grant_publishing();
end
$$;

-- Makes a role without login if its maker may. Roles belong to the whole cluster: another database may be making it at
-- this moment.
create function make_role(wanted text) returns void
language plpgsql
set search_path from current
as $$
begin
    if to_regrole(wanted) is null
        and exists (select 1 from pg_roles as r where r.rolname = current_user and (r.rolcreaterole or r.rolsuper)) then
        execute format('create role %I nologin', wanted);
    end if;
exception
    when duplicate_object or unique_violation then null;
end
$$;

select make_role('postrider_publisher');

select place_publishing();

select set_config('search_path', current_schema(), true);
