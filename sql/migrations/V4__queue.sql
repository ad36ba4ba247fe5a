-- The queue, and what ended without success.

-- Pending work only: one row for each event and subscription that is not delivered yet. The row
-- goes when the delivery ends.
create table deliveries (
    tenant_id uuid not null,
    event_id uuid not null,
    subscription_id uuid not null,
    -- Due time, backoff and end of the lease in one; infinity: waits for its turn in its ordering group.
    next_attempt_at timestamptz not null,
    -- Token of the take that leases the row until next_attempt_at; null while nobody does.
    lease uuid,
    -- Attempts so far, the one under way included.
    attempts integer not null default 0,
    -- Of these, attempts that used up no step of the retry schedule.
    free_attempts integer not null default 0,
    payload_bytes integer not null,
    -- When the delivery ends undelivered; null: when its event is older than the lifetime. A leased
    -- delivery that was cancelled has -infinity.
    expires_at timestamptz,
    ordering_key text,
    -- Position in its ordering group.
    position bigint,
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

-- A lane: the deliveries of one subscription by due time. The index is over a hash that only take
-- and find_all name, so that record, which names the key, can never be planned to walk a whole lane.
create index deliveries_lane on deliveries (uuid_hash_extended(subscription_id, 0), next_attempt_at)
where next_attempt_at < 'infinity';

-- What nobody has leased, by due time: what find looks through.
create index deliveries_free on deliveries (next_attempt_at)
where lease is null and next_attempt_at < 'infinity';

create index deliveries_ordered on deliveries (subscription_id, ordering_key, position)
where ordering_key is not null;

create index deliveries_expiring on deliveries (expires_at)
where expires_at is not null;

-- The last position given to a delivery with an ordering key. The row is locked until the commit,
-- so positions of a tenant become visible in their order.
create table ordering_counters (
    tenant_id uuid not null,
    position bigint not null,
    constraint ordering_counters_pkey primary key (tenant_id)
);

-- Workers that run, each with its last sign of life.
create table workers (
    id uuid not null,
    version text not null,
    started_at timestamptz not null,
    heartbeat_at timestamptz not null,
    -- When the last of its leases ends at the latest, counted from its heartbeat, in seconds.
    lease_seconds double precision not null,
    constraint workers_pkey primary key (id)
);

-- Deliveries that ended without success. A success is its attempt.
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

-- Failed deliveries that no system event has reported yet.
create table unreported_failures (
    subscription_id uuid not null,
    tenant_id uuid not null,
    failed bigint not null,
    -- Of these, deliveries that expired and that were skipped.
    expired bigint not null default 0,
    skipped bigint not null default 0,
    last_event_id uuid not null,
    last_reason text not null,
    reported_at timestamptz,
    constraint unreported_failures_pkey primary key (subscription_id)
);

create index unreported_failures_waiting on unreported_failures (reported_at)
where failed > 0;

-- Counts deliveries that ended without success, unless somebody cancelled them or a system event
-- could not be delivered. Rows are locked in the order of subscriptions, after all lookups, so that two
-- transactions never wait for each other in a circle.
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

-- A subscription that is enabled, or sent elsewhere, starts afresh: slowly where deliveries are
-- due, so that they do not all come at once. Where its tenant was notified that it is not well, it
-- gets a row that its first success deletes, which is reported then.
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
