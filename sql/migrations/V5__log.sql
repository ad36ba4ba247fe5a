-- Append-only. Columns of fixed length come first, to avoid padding.
create table attempts (
    tenant_id uuid not null,
    subscription_id uuid not null,
    id uuid not null,
    event_id uuid not null,
    created_at timestamptz not null,
    -- The time of the transaction, so that a reader by it misses nothing that ended 10 s ago.
    written_at timestamptz not null default now(),
    attempt_number integer not null,
    duration_ms integer,
    status_code smallint,
    outcome text not null,
    event_type text,
    error_message text,
    response_body bytea,
    remote_address inet,
    -- Why it was made; null: the first of its delivery.
    trigger text,
    -- Request and response heads and the parts of the duration; null where the settings do not keep them.
    detail jsonb,
    constraint attempts_pkey primary key (tenant_id, subscription_id, id),
    constraint attempts_body_length check (octet_length(response_body) <= 16384),
    constraint attempts_success_has_no_error check ((outcome = 'delivered') = (error_message is null))
) partition by range (id);

create index attempts_event on attempts (event_id, subscription_id);

-- multi: an attempt logged for a lost worker has an earlier id than its neighbours.
create index attempts_time on attempts using brin (id uuid_minmax_multi_ops, written_at)
with (pages_per_range = 32, autosummarize = on);

create table replays (
    tenant_id uuid not null,
    id uuid not null,
    -- Null: `selection` selects.
    subscription_id uuid,
    -- 'missed': the event created no delivery for the subscription.
    statuses text[] not null,
    event_types text[] not null default '{}',
    after_id uuid not null,
    below_id uuid not null,
    -- Filters of deliveries, each a list; newest event first, where the others begin with the oldest.
    selection jsonb,
    -- True: to the subscriptions that want the events now.
    is_to_matching boolean not null default false,
    -- Deliveries when it was planned; null if they were not counted.
    total bigint,
    rate integer not null,
    status text not null default 'running',
    reached uuid not null,
    -- With a selection: the subscription below which it goes on within the event.
    reached_subscription uuid,
    replayed bigint not null default 0,
    created_at timestamptz not null default now(),
    -- Start of the current second of the rate, and what was replayed in it.
    stepped_at timestamptz not null default '1970-01-01 00:00:00+00',
    stepped integer not null default 0,
    -- Who began or cancelled it; null for postrider itself.
    changed_by jsonb,
    ended_at timestamptz,
    constraint replays_pkey primary key (tenant_id, id),
    constraint replays_rate_range check (rate between 1 and 10000),
    constraint replays_status_known check (status in ('running', 'finished', 'cancelled')),
    constraint replays_ended_when_not_running check ((status = 'running') = (ended_at is null)),
    constraint replays_statuses_known check (
        statuses <@ array['failed', 'expired', 'skipped', 'cancelled', 'succeeded', 'missed']
        and (cardinality(statuses) > 0 or selection is not null)
    ),
    constraint replays_has_one_selection check (
        (subscription_id is null) = (selection is not null)
        and (selection is not null) = (reached_subscription is not null)
    )
);

-- What a dry run has counted, so that the replay which names it selects the same. Kept for a day.
create table replay_plans (
    tenant_id uuid not null,
    id uuid not null,
    selection jsonb not null,
    is_to_matching boolean not null,
    below_id uuid not null,
    total bigint not null,
    constraint replay_plans_pkey primary key (tenant_id, id)
);

-- One of the lists of a selection; null for all.
create function selected_words(selection jsonb, name text) returns text[]
language plpgsql immutable parallel safe
set search_path from current
as $$
begin
    return (select array_agg(w.word) from jsonb_array_elements_text(selection -> name) as w (word));
end
$$;

create function audit_replay() returns trigger
language plpgsql
set search_path from current
as $$
begin
    if tg_op = 'INSERT' then
        perform write_audit(
            new.changed_by, new.tenant_id, 'created', 'replay', new.id, null,
            jsonb_build_object(
                'subscription_id', new.subscription_id,
                'only', new.selection,
                'to', case when new.is_to_matching then 'matching' else 'original' end,
                'statuses', new.statuses,
                'event_types', new.event_types,
                'since', rfc3339(nullif(uuid_v7_time(new.after_id), 'epoch')),
                'until', rfc3339(least((new.selection ->> 'until')::timestamptz, uuid_v7_time(new.below_id))),
                'rate', new.rate
            )
        );
    else
        perform write_audit(
            changed_by_whom(new.changed_by, old.changed_by), new.tenant_id, 'cancelled', 'replay', new.id, null,
            jsonb_build_object('subscription_id', new.subscription_id, 'replayed', new.replayed)
        );
    end if;
    return null;
end
$$;

create trigger replays_created
after insert on replays
for each row
execute function audit_replay();

create trigger replays_cancelled
after update on replays
for each row
when (old.status <> new.status and new.status = 'cancelled')
execute function audit_replay();

create index replays_running on replays (stepped_at)
where status = 'running';

-- Requests to publish that were refused. Bounded for each tenant by refusals/write.
create table refusals (
    -- Nil: the operator's, because neither a key nor the subscription names a tenant.
    tenant_id uuid not null,
    id uuid not null,
    at timestamptz not null,
    -- As named, whether it exists or not.
    subscription_id uuid,
    -- Of the key that came, right or wrong.
    key_id uuid,
    status smallint not null,
    -- Whether a valid key or signature came with it. Others cannot displace these.
    is_own boolean not null,
    remote_address inet,
    code text not null,
    detail text not null,
    route text not null,
    -- Id or external id of the subscription, as in the request.
    subscription text,
    event_type text,
    idempotency_key text,
    request_id text not null,
    -- Null where no tenant is named.
    beginning bytea,
    constraint refusals_pkey primary key (id),
    constraint refusals_beginning_length check (octet_length(beginning) <= 512)
);

create index refusals_tenant on refusals (tenant_id, id);
