-- Announcements: events that postrider raises about a subscription, sent through the queue to
-- the tenant's other subscriptions that name their type.
-- A replica that does not know this announces nothing and delivers them like any event.

-- The subscription that an announcement is about; null for what producers publish.
alter table events
add column about uuid;

-- What the tenant was told last of a subscription that is not well again: 'failing', 'disabled'.
alter table subscriptions
add column told text,
add constraint subscriptions_told_known check (told in ('failing', 'disabled'));

create index subscriptions_to_tell on subscriptions (id)
where told is not null or disabled_reason is not null;

-- How many of the warnings of this failing were given.
alter table subscription_health
add column warnings integer not null default 0;

-- Failed deliveries that the tenant was not told of yet.
create table untold_failures (
    subscription_id uuid not null,
    tenant_id uuid not null,
    failed bigint not null,
    last_event_id uuid not null,
    last_reason text not null,
    told_at timestamptz,
    constraint untold_failures_pkey primary key (subscription_id)
);

create index untold_failures_waiting on untold_failures (told_at)
where failed > 0;

-- Counts deliveries that failed, unless an announcement is what could not be delivered. Rows
-- are locked in the order of subscriptions, so two recordings never wait in a circle.
create function note_failures() returns trigger
language plpgsql as $$
begin
    if exists (select 1 from new_rows as n where n.status = 'failed') then
        insert into untold_failures as u (subscription_id, tenant_id, failed, last_event_id, last_reason)
        select
            n.subscription_id,
            n.tenant_id,
            count(*),
            (array_agg(n.event_id order by n.event_id desc))[1],
            (array_agg(n.reason order by n.event_id desc))[1]
        from new_rows as n
        where n.status = 'failed'
            and not exists (
                select 1
                from events as e
                where e.tenant_id = n.tenant_id
                    and e.id = n.event_id
                    and e.about is not null
            )
        group by n.subscription_id, n.tenant_id
        order by n.subscription_id
        on conflict (subscription_id) do update
        set
            failed = u.failed + excluded.failed,
            last_event_id = excluded.last_event_id,
            last_reason = excluded.last_reason;
    end if;
    return null;
end
$$;

create trigger undelivered_noted
after insert on undelivered
referencing new table as new_rows
for each statement
execute function note_failures();

-- Publishes an event about a subscription to the tenant's others that name its type, or all
-- types with its first word, 100 at most; '*' and no types at all do not ask for it. Returns whether
-- anybody does: an event that nobody asks for is not written.
create function raise_event(tenant uuid, subject uuid, kind text, details jsonb) returns boolean
language plpgsql as $$
declare
    raised uuid := uuid_v7();
    named text[] := array[kind, split_part(kind, '.', 1) || '.*'];
    who text;
begin
    if not exists (
        select 1
        from subscriptions as s
        where s.tenant_id = tenant
            and s.id <> subject
            and s.event_types && named
            and s.deleted_at is null
    ) then
        return false;
    end if;
    select s.external_id into who
    from subscriptions as s
    where s.tenant_id = tenant
        and s.id = subject;
    insert into events (tenant_id, id, event_type, payload, fan_out, about)
    values (
        tenant,
        raised,
        kind,
        convert_to(
            jsonb_build_object(
                'type', kind,
                'timestamp', to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                'data', jsonb_build_object('subscription_id', subject, 'external_id', who) || details
            )::text,
            'UTF8'
        ),
        true,
        subject
    );
    insert into deliveries (tenant_id, event_id, subscription_id, next_attempt_at, held_for)
    select
        tenant,
        raised,
        s.id,
        case when s.is_active and not s.is_paced then now() else 'infinity' end,
        case when not s.is_active then 'disabled' when s.is_paced then 'paced' end
    from subscriptions as s
    where s.tenant_id = tenant
        and s.id <> subject
        and s.event_types && named
        and s.deleted_at is null
    order by s.id
    limit 100;
    return true;
end
$$;

-- Tells what is new: that a subscription has failed for so long (a warning for each of the
-- times in seconds), is disabled, is well again, and that deliveries of it failed (once in so
-- many seconds). At most 20 of each kind a call, so that nobody waits for its locks; one process at a time does it. Returns how
-- many changes were told, be anybody asking or not.
create function announce(warn_after double precision[], pause double precision) returns integer
language plpgsql as $$
declare
    news record;
    written integer := 0;
begin
    if not pg_try_advisory_xact_lock(hashtext('postrider.announce')) then
        return 0;
    end if;
    for news in
        select h.subscription_id, h.tenant_id, h.failing_since, h.failures, passed.warnings
        from subscription_health as h
        inner join subscriptions as s
            on s.tenant_id = h.tenant_id
            and s.id = h.subscription_id
        cross join lateral (
            select count(*)::integer as warnings
            from unnest(warn_after) as w (seconds)
            where h.failing_since <= now() - make_interval(secs => w.seconds)
        ) as passed
        where h.failing_since <= now() - make_interval(secs => (select min(w.seconds) from unnest(warn_after) as w (seconds)))
            and passed.warnings > h.warnings
            and s.is_active
            and s.deleted_at is null
        order by h.subscription_id
        limit 20
        for no key update of s skip locked
    loop
        written := written + raise_event(
            news.tenant_id,
            news.subscription_id,
            'subscription.failing',
            jsonb_build_object('failing_since', news.failing_since, 'failures', news.failures, 'warning', news.warnings)
        )::integer;
        update subscription_health
        set warnings = news.warnings
        where subscription_id = news.subscription_id;
        update subscriptions
        set told = 'failing'
        where id = news.subscription_id;
    end loop;
    for news in
        select s.id, s.tenant_id, s.disabled_reason
        from subscriptions as s
        where s.disabled_reason is not null
            and s.told is distinct from 'disabled'
            and s.deleted_at is null
        order by s.id
        limit 20
        for no key update of s skip locked
    loop
        written := written + raise_event(
            news.tenant_id, news.id, 'subscription.disabled', jsonb_build_object('reason', news.disabled_reason)
        )::integer;
        update subscriptions
        set told = 'disabled'
        where id = news.id;
    end loop;
    for news in
        select s.id, s.tenant_id, s.told
        from subscriptions as s
        where s.told is not null
            and s.is_active
            and s.deleted_at is null
            and not exists (
                select 1
                from subscription_health as h
                where h.subscription_id = s.id
            )
        order by s.id
        limit 20
        for no key update of s skip locked
    loop
        written := written + raise_event(
            news.tenant_id, news.id, 'subscription.recovered', jsonb_build_object('was', news.told)
        )::integer;
        update subscriptions
        set told = null
        where id = news.id;
    end loop;
    for news in
        select u.subscription_id, u.tenant_id, u.failed, u.last_event_id, u.last_reason
        from untold_failures as u
        where u.failed > 0
            and (u.told_at is null or u.told_at <= now() - make_interval(secs => pause))
        order by u.subscription_id
        limit 20
        for update skip locked
    loop
        written := written + raise_event(
            news.tenant_id,
            news.subscription_id,
            'delivery.failed',
            jsonb_build_object(
                'failed', news.failed, 'last_webhook_id', news.last_event_id, 'last_reason', news.last_reason
            )
        )::integer;
        update untold_failures
        set
            failed = 0,
            told_at = now()
        where subscription_id = news.subscription_id;
    end loop;
    return written;
end
$$;
