-- The queue, and deliveries that ended without success.

-- Pending deliveries only; the row is deleted when the delivery ends.
create table deliveries (
    tenant_id uuid not null,
    event_id uuid not null,
    subscription_id uuid not null,
    -- Due time, backoff or end of the lease; infinity: held in its ordering group.
    next_attempt_at timestamptz not null,
    -- Token of the lease until next_attempt_at; null if there is none.
    lease uuid,
    attempts integer not null default 0,
    -- Attempts that do not count as retries.
    free_attempts integer not null default 0,
    payload_bytes integer not null,
    -- Null: the age of its event decides. -infinity: cancelled while leased.
    expires_at timestamptz,
    ordering_key text,
    position bigint,
    -- Why the next attempt is made, where it does not follow from its number; otherwise null.
    trigger text,
    constraint deliveries_pkey primary key (event_id, subscription_id),
    constraint deliveries_attempts_counted check (free_attempts between 0 and attempts),
    constraint deliveries_group_has_position check ((ordering_key is null) = (position is null)),
    constraint deliveries_waits_in_a_group
        check (next_attempt_at < 'infinity' or (ordering_key is not null and lease is null))
) with (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 10000,
    autovacuum_vacuum_cost_delay = 0,
    vacuum_truncate = off
);

-- Due deliveries of one subscription. Over a hash, so that record, which names the key, never walks a whole lane.
create index deliveries_lane on deliveries (uuid_hash_extended(subscription_id, 0), next_attempt_at)
where next_attempt_at < 'infinity';

create index deliveries_free on deliveries (next_attempt_at)
where lease is null and next_attempt_at < 'infinity';

create index deliveries_ordered on deliveries (subscription_id, ordering_key, position)
where ordering_key is not null;

create index deliveries_expiring on deliveries (expires_at)
where expires_at is not null;

-- Last position of an ordered delivery. Locked until the commit, so that positions become visible in order.
create table ordering_counters (
    tenant_id uuid not null,
    position bigint not null,
    constraint ordering_counters_pkey primary key (tenant_id)
);

-- Running processes.
create table replicas (
    id uuid not null,
    role text not null,
    version text not null,
    started_at timestamptz not null,
    heartbeat_at timestamptz not null,
    lease_seconds double precision not null,
    -- Deliveries in its memory.
    backlog integer not null,
    constraint replicas_pkey primary key (id),
    constraint replicas_role_known check (role in ('serve', 'api', 'worker'))
);

-- A success is not stored here: it is its attempt.
create table undelivered (
    tenant_id uuid not null,
    event_id uuid not null,
    subscription_id uuid not null,
    status text not null,
    reason text not null,
    attempts integer not null,
    ended_at timestamptz not null default now(),
    constraint undelivered_pkey primary key (tenant_id, event_id, subscription_id),
    constraint undelivered_status_known check (status in ('failed', 'cancelled', 'expired', 'skipped'))
);

create index undelivered_subscription on undelivered (subscription_id, event_id);

create index undelivered_event on undelivered (event_id);

create table unreported_failures (
    subscription_id uuid not null,
    tenant_id uuid not null,
    failed bigint not null,
    expired bigint not null default 0,
    skipped bigint not null default 0,
    last_event_id uuid not null,
    last_reason text not null,
    reported_at timestamptz,
    constraint unreported_failures_pkey primary key (subscription_id)
);

create index unreported_failures_waiting on unreported_failures (reported_at)
where failed > 0;

-- Except cancelled ones and those of system events. Locks in order of subscriptions, so that nothing deadlocks.
create function count_failures() returns trigger
language plpgsql
set search_path from current
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
begin
    if exists (select 1 from new_rows as n where n.status in ('failed', 'expired', 'skipped')) then
        insert into unreported_failures as u (
            subscription_id, tenant_id, failed, expired, skipped, last_event_id, last_reason
        )
        select
            n.subscription_id,
            n.tenant_id,
            count(*),
            count(*) filter (where n.status = 'expired'),
            count(*) filter (where n.status = 'skipped'),
            (array_agg(n.event_id order by n.event_id desc))[1],
            (array_agg(n.reason order by n.event_id desc))[1]
        from new_rows as n
        left join lateral (
            select x.about
            from events as x
            where x.tenant_id = n.tenant_id
                and x.id = n.event_id
            limit 1
        ) as e on true
        where n.status in ('failed', 'expired', 'skipped')
            and e.about is null
        group by n.subscription_id, n.tenant_id
        order by n.subscription_id
        on conflict (subscription_id) do update
        set
            failed = u.failed + excluded.failed,
            expired = u.expired + excluded.expired,
            skipped = u.skipped + excluded.skipped,
            last_event_id = excluded.last_event_id,
            last_reason = excluded.last_reason;
    end if;
    return null;
end
$$;

create trigger undelivered_counted
after insert on undelivered
referencing new table as new_rows
for each statement
execute function count_failures();

-- An enabled or redirected subscription starts slowly if deliveries are due, and may report 'recovered'.
create function reset_health() returns trigger
language plpgsql
set search_path from current
set enable_seqscan = off
set enable_bitmapscan = off
as $$
declare
    at constant timestamptz := now();
    starts_slowly boolean;
begin
    delete from subscription_health
    where subscription_id = new.id;
    if not new.is_active or new.deleted_at is not null then
        return null;
    end if;
    starts_slowly := exists (
        select 1
        from deliveries as d
        where uuid_hash_extended(d.subscription_id, 0) = uuid_hash_extended(new.id, 0)
            and d.subscription_id = new.id
            and d.next_attempt_at < 'infinity'
            and d.next_attempt_at <= at
    );
    if starts_slowly or new.notified is not null then
        insert into subscription_health (subscription_id, tenant_id, state, width)
        values (
            new.id, new.tenant_id, case when starts_slowly then 'recovering' end, case when starts_slowly then 2 end
        );
    end if;
    return null;
end
$$;

create trigger subscriptions_restarted
after update of is_active, target_url, deleted_at on subscriptions
for each row
when (
    (new.is_active and not old.is_active)
    or new.target_url <> old.target_url
    or (new.deleted_at is not null and old.deleted_at is null)
)
execute function reset_health();
