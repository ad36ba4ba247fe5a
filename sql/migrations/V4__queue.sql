-- The queue and its log.

-- Pending work only: one row for each event and subscription still owed. The row goes
-- when the delivery ends. next_attempt_at is due time, backoff and lease end in one.
create table deliveries (
    tenant_id uuid not null,
    event_id uuid not null,
    subscription_id uuid not null,
    next_attempt_at timestamptz not null,
    -- Token of the claim that owns the row until next_attempt_at; null when nobody does.
    lease uuid,
    -- Attempts counted so far, the one under way included.
    attempts smallint not null default 0,
    -- Of these, how many used up no step of the retry schedule.
    free_attempts smallint not null default 0,
    -- Why the row is parked at 'infinity'; null when it is not.
    held_for text,
    ordering_key text,
    constraint deliveries_pkey primary key (tenant_id, event_id, subscription_id),
    constraint deliveries_held_is_parked check ((held_for is not null) = (next_attempt_at = 'infinity')),
    constraint deliveries_held_is_not_leased check (held_for is null or lease is null),
    constraint deliveries_attempts_counted check (free_attempts between 0 and attempts)
) with (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 10000,
    autovacuum_vacuum_cost_delay = 0,
    vacuum_truncate = off
);

create index deliveries_due on deliveries (next_attempt_at)
where next_attempt_at < 'infinity';

create index deliveries_held on deliveries (subscription_id, held_for, event_id)
where next_attempt_at = 'infinity';

create index deliveries_ordered on deliveries (subscription_id, ordering_key, event_id)
where ordering_key is not null;

-- The delivery log: one row for each HTTP request made, and for each that was cut off.
create table attempts (
    tenant_id uuid not null,
    subscription_id uuid not null,
    id uuid not null,
    event_id uuid not null,
    event_type text,
    attempt_number smallint not null,
    outcome text not null,
    status_code smallint,
    error_message text,
    response_body bytea,
    remote_address inet,
    duration_ms integer,
    created_at timestamptz not null,
    constraint attempts_pkey primary key (subscription_id, id),
    constraint attempts_body_length check (octet_length(response_body) <= 16384),
    constraint attempts_success_has_no_error check ((outcome = 'delivered') = (error_message is null))
) partition by range (id);

create index attempts_event on attempts (event_id, subscription_id);

-- Deliveries that ended without success. A success is its attempt.
create table undelivered (
    tenant_id uuid not null,
    event_id uuid not null,
    subscription_id uuid not null,
    status text not null,
    reason text not null,
    attempts smallint not null,
    ended_at timestamptz not null default now(),
    constraint undelivered_pkey primary key (tenant_id, event_id, subscription_id),
    constraint undelivered_status_known check (status in ('failed', 'cancelled', 'expired', 'skipped'))
);

-- Who may keep rows parked, why, and for how long at most: a hold whose owner died ends.
create table holds (
    tenant_id uuid not null,
    subscription_id uuid not null,
    reason text not null,
    ordering_key text not null default '',
    owner uuid not null,
    until timestamptz not null,
    constraint holds_pkey primary key (subscription_id, reason, ordering_key, owner),
    constraint holds_until_finite check (until < 'infinity')
);
