-- Events, partitioned by day of their id.

-- The smallest UUIDv7 of this time, as a bound of partitions and scans. Ids begin in 1970.
create function uuid_v7_floor(at timestamptz) returns uuid
language sql immutable strict parallel safe
return (
    lpad(to_hex(greatest(floor(extract(epoch from at) * 1000), 0)::bigint), 12, '0') || repeat('0', 20)
)::uuid;

create function uuid_v7(at timestamptz default clock_timestamp()) returns uuid
language sql volatile parallel safe
set search_path from current
return (
    lpad(to_hex(floor(extract(epoch from at) * 1000)::bigint), 12, '0')
    || '7' || substr(replace(gen_random_uuid()::text, '-', ''), 14, 19)
)::uuid;

create function uuid_v7_time(id uuid) returns timestamptz
language sql immutable strict parallel safe
return to_timestamp(('x0000' || replace(left(id::text, 13), '-', ''))::bit(64)::bigint / 1000.0);

create table events (
    tenant_id uuid not null,
    id uuid not null,
    accepted_at timestamptz not null default now(),
    about uuid,
    -- True: published to all interested subscriptions; null: to one.
    fan_out boolean,
    -- Deliveries through which it came back to an ingest route; null: none.
    hops smallint,
    event_type text,
    -- Not json or jsonb: the bytes sent are the bytes received.
    payload bytea not null,
    -- As the producer sent it; null for application/json.
    content_type text,
    ordering_key text,
    -- As asked for; null: at once, and for the instance's lifetime.
    deliver_at timestamptz,
    expires_at timestamptz,
    -- True: nobody wanted it when it was published; otherwise null.
    is_unmatched boolean,
    constraint events_pkey primary key (tenant_id, id)
) partition by range (id);

create index events_unmatched on events (tenant_id, id)
where is_unmatched;

-- accepted_at is the time of the transaction, so that a reader by it misses nothing that ended 10 s ago.
create index events_time on events using brin (accepted_at) with (pages_per_range = 32, autosummarize = on);

create table idempotency_keys (
    tenant_id uuid not null,
    key text not null,
    event_id uuid not null,
    fingerprint bytea not null,
    constraint idempotency_keys_pkey primary key (tenant_id, key),
    constraint idempotency_keys_fingerprint_length check (octet_length(fingerprint) = 32)
);

create index idempotency_keys_event on idempotency_keys (event_id);

create function rfc3339(moment timestamptz) returns text
language sql stable parallel safe
return to_char(moment at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');

-- One second's worth of events of each tenant with a publish rate.
create table publish_buckets (
    tenant_id uuid not null,
    tokens double precision not null,
    filled_at timestamptz not null,
    constraint publish_buckets_pkey primary key (tenant_id)
);
