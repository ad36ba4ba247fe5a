-- Three things that come with one version, in one step: a replica follows a schema that is one
-- step newer than its own. Replays, retries and cancelling; lists of subscriptions that need
-- not be read anew; announcements, mended.

-- All that is altered or indexed below, at once: whoever works on the queue waits for nobody
-- who waits for this. Where it cannot be had within the second that a step may wait for a lock,
-- the step is tried again.
lock table subscriptions, deliveries, undelivered, untold_failures in access exclusive mode;

-- What people ask of deliveries: those that have ended are owed again, one by one or as a
-- replay; those that are owed end. And a subscription that is enabled begins slowly.
-- A replica that does not know this ends a delivery that was cancelled under way as expired,
-- and leaves replays to the others.

-- Whether an event of this type, or of none, is among these patterns: what
-- domain::event_type says of the event_types of a subscription.
create function is_wanted(event_type text, patterns text[]) returns boolean
language sql immutable parallel safe
return cardinality(patterns) = 0
    or exists (
        select 1
        from unnest(patterns) as p (pattern)
        where p.pattern = is_wanted.event_type
            or (right(p.pattern, 1) = '*' and starts_with(is_wanted.event_type, left(p.pattern, -1)))
    );

-- Deliveries that ended, to be made again: pairs of events and subscriptions of a tenant. Each
-- counts its attempts on and has its whole schedule and lifetime before it. Left out are pairs
-- whose event or subscription is gone, and those that are owed already. Returns how many there are.
-- "lateral … limit 1" fixes the order of the joins: what ended is never walked as a whole.
create function owe_again(tenant uuid, event_ids uuid[], subscription_ids uuid[], lifetime interval) returns bigint
language plpgsql as $$
declare
    owed bigint;
begin
    insert into deliveries (
        tenant_id, event_id, subscription_id, next_attempt_at, held_for, attempts, free_attempts, expires_at
    )
    select
        tenant,
        a.event_id,
        a.subscription_id,
        case when s.is_active and not s.is_paced then now() else 'infinity' end,
        case when not s.is_active then 'disabled' when s.is_paced then 'paced' end,
        coalesce(ended.attempts, made.attempts, 0),
        coalesce(ended.attempts, made.attempts, 0),
        now() + lifetime
    from unnest(event_ids, subscription_ids) as a (event_id, subscription_id)
    cross join lateral (
        select 1
        from events as x
        where x.tenant_id = tenant
            and x.id = a.event_id
        limit 1
    ) as e
    cross join lateral (
        select x.is_active, x.is_paced
        from subscriptions as x
        where x.tenant_id = tenant
            and x.id = a.subscription_id
            and x.deleted_at is null
        limit 1
    ) as s
    left join lateral (
        select x.attempts
        from undelivered as x
        where x.tenant_id = tenant
            and x.event_id = a.event_id
            and x.subscription_id = a.subscription_id
        limit 1
    ) as ended on true
    cross join lateral (
        select max(x.attempt_number) as attempts
        from attempts as x
        where x.event_id = a.event_id
            and x.subscription_id = a.subscription_id
            and ended.attempts is null
    ) as made
    order by a.event_id, a.subscription_id
    on conflict (tenant_id, event_id, subscription_id) do nothing;
    get diagnostics owed = row_count;
    -- What is owed has not ended, whoever owes it: a look of its own, after the insert.
    delete from undelivered as u
    where u.ctid = any(array(
        select ended.place
        from unnest(event_ids, subscription_ids) as a (event_id, subscription_id)
        cross join lateral (
            select 1
            from deliveries as x
            where x.tenant_id = tenant
                and x.event_id = a.event_id
                and x.subscription_id = a.subscription_id
            limit 1
        ) as d
        cross join lateral (
            select x.ctid as place
            from undelivered as x
            where x.tenant_id = tenant
                and x.event_id = a.event_id
                and x.subscription_id = a.subscription_id
            limit 1
        ) as ended
    ));
    return owed;
end
$$;

-- For a statement that found out that it counts on what is no longer so: it is undone, and
-- whoever sent it repeats it.
create function changed_meanwhile() returns bigint
language plpgsql as $$
begin
    raise 'a row was changed meanwhile' using errcode = 'serialization_failure';
end
$$;

-- Deliveries of one subscription that are made again, a few at a time.
create table replays (
    tenant_id uuid not null,
    id uuid not null,
    subscription_id uuid not null,
    -- How they ended: words of all_deliveries, and 'missed' for events that it never got.
    statuses text[] not null,
    -- Patterns of event types; empty for all.
    event_types text[] not null default '{}',
    -- Events between these ids: bounds of times, which no event has.
    after_id uuid not null,
    below_id uuid not null,
    -- Most deliveries a second.
    rate integer not null,
    status text not null default 'running',
    -- Events up to this id are done.
    reached uuid not null,
    replayed bigint not null default 0,
    created_at timestamptz not null default now(),
    -- When the second began in which it goes on, and how many it has made again in that.
    stepped_at timestamptz not null default 'epoch',
    stepped integer not null default 0,
    ended_at timestamptz,
    constraint replays_pkey primary key (tenant_id, id),
    constraint replays_status_known check (status in ('running', 'finished', 'cancelled')),
    constraint replays_ended_when_not_running check ((status = 'running') = (ended_at is null)),
    constraint replays_statuses_known check (
        statuses <@ array['failed', 'expired', 'skipped', 'cancelled', 'succeeded', 'missed'] and cardinality(statuses) > 0
    ),
    constraint replays_rate_range check (rate between 1 and 10000)
);

create index replays_running on replays (stepped_at)
where status = 'running';

-- What a replay of a subscription looks through.
create index undelivered_subscription on undelivered (subscription_id, event_id);

-- A subscription that is enabled, or sent elsewhere, begins anew: where deliveries wait for
-- it, as one that recovers, so that they do not come all at once; where its tenant was told that
-- it is not well, with a row that its first success takes away, which is told then.
create or replace function forget_health() returns trigger
language plpgsql as $$
declare
    is_awaited boolean;
begin
    delete from subscription_health
    where subscription_id = new.id;
    if not new.is_active or new.deleted_at is not null then
        return null;
    end if;
    is_awaited := exists (
        select 1
        from deliveries as d
        where d.subscription_id = new.id
            and d.next_attempt_at = 'infinity'
            and d.held_for in ('disabled', 'paced')
    );
    -- What a claim is about to hold is not seen: a claim's worth of deliveries may come at once.
    if is_awaited or new.told is not null then
        insert into subscription_health (subscription_id, tenant_id, state, width)
        values (new.id, new.tenant_id, case when is_awaited then 'recovering' end, case when is_awaited then 2 end);
    end if;
    return null;
end
$$;

-- What changed since a list of a tenant's subscriptions was read is found by a number, so
-- that nobody has to read the list anew, or refuse an event, because of it.
-- A replica that does not know this works as before: the version of the list still changes
-- whenever somebody else would get an event, and versions of the rows tell the rest.

alter table subscriptions
-- The version of the tenant's list when the row was last written in a way that changes who
-- gets an event: made, deleted, or given other event types.
add column listed_version bigint not null default 0;

-- By version first, which is a time and so mostly says it all: an index that begins with the
-- tenant could be chosen, while the table is empty, to find a subscription by tenant and id.
create index subscriptions_listed on subscriptions (listed_version, tenant_id);

-- Raises the version of the list and writes it to the rows that made it so. The tenant's row
-- stays locked until the commit: who sees a version sees every row that has a smaller one.
create or replace function raise_subscriptions_version() returns trigger
language plpgsql as $$
declare
    written uuid[];
begin
    if tg_op = 'INSERT' then
        written := array(select n.id from new_rows as n);
    else
        written := array(
            select n.id
            from new_rows as n
            inner join old_rows as o
                on o.tenant_id = n.tenant_id
                and o.id = n.id
            where n.event_types <> o.event_types
                or (n.deleted_at is null) <> (o.deleted_at is null)
        );
    end if;
    -- The update below comes back here, and ends here.
    if cardinality(written) > 0 then
        with raised as (
            update tenants as t
            set subscriptions_version = later_version(t.subscriptions_version)
            where t.id in (select s.tenant_id from subscriptions as s where s.id = any(written))
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

-- Announcements, mended: who gets them, which deliveries they count, how times are written.
-- And what makes a look for paces without an owner cheap.
-- A replica that does not know this tells the same, and wakes workers for what nobody asked for.

-- The types of announcements. Who asks for one is found by the index below, which has to be
-- made anew when a type is added.
create function announcement_types() returns text[]
language sql immutable parallel safe
return array[
    'subscription.failing', 'subscription.disabled', 'subscription.recovered', 'delivery.failed', 'replay.finished'
];

create index subscriptions_asking on subscriptions (tenant_id, id)
where event_types && announcement_types();

-- A time as it stands in payloads.
create function rfc3339(moment timestamptz) returns text
language sql stable parallel safe
return to_char(moment at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');

-- Publishes an event about a subscription to the tenant's others that name its type in full, 100
-- at most: patterns ask for what producers publish. Returns whether anybody asks for it: an
-- event that nobody asks for is not written.
create or replace function raise_event(tenant uuid, subject uuid, kind text, details jsonb) returns boolean
language plpgsql as $$
declare
    raised uuid := uuid_v7();
    who text;
begin
    if not exists (
        select 1
        from subscriptions as s
        where s.tenant_id = tenant
            and s.id <> subject
            and s.event_types && announcement_types()
            and kind = any(s.event_types)
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
                'timestamp', rfc3339(now()),
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
        and s.event_types && announcement_types()
        and kind = any(s.event_types)
        and s.deleted_at is null
    order by s.id
    limit 100;
    return true;
end
$$;

-- Of `failed`, those that ended so; the rest ran out of attempts or were refused for good.
alter table untold_failures
add column expired bigint not null default 0,
add column skipped bigint not null default 0;

-- Counts deliveries that ended without success, unless somebody cancelled them or an
-- announcement is what could not be delivered. Rows are locked in the order of subscriptions,
-- after all that is looked up, so two that end deliveries never wait in a circle, and not long.
-- "lateral … limit 1": an event is a probe, whatever was planned while there were few.
create or replace function note_failures() returns trigger
language plpgsql as $$
begin
    if exists (select 1 from new_rows as n where n.status in ('failed', 'expired', 'skipped')) then
        insert into untold_failures as u (
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

-- Tells what is new: that a subscription has failed for so long (a warning for each of the
-- times in seconds), is disabled, is well again, and that deliveries of it failed (once in so
-- many seconds). One process at a time does it. A call writes 20 events of a kind at most, and
-- notes 500 changes of it, so that nobody waits for its locks; those that nobody asks for
-- cost little and hold up nobody's. Says how many changes were noted, be anybody asking
-- or not, and for how many an event was written.
-- Rows that somebody else has locked are left for the next call, so it never waits for a lock.
create function announce_news(
    warn_after double precision[],
    pause double precision,
    out told bigint,
    out written bigint
)
language plpgsql as $$
declare
    most_noted constant integer := 500;
    most_written constant integer := 20;
    news record;
    full_at bigint;
begin
    told := 0;
    written := 0;
    if not pg_try_advisory_xact_lock(hashtext('postrider.announce')) then
        return;
    end if;
    full_at := written + most_written;
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
        limit most_noted
        for no key update of h, s skip locked
    loop
        exit when written = full_at;
        told := told + 1;
        written := written + raise_event(
            news.tenant_id,
            news.subscription_id,
            'subscription.failing',
            jsonb_build_object(
                'failing_since', rfc3339(news.failing_since), 'failures', news.failures, 'warning', news.warnings
            )
        )::integer;
        update subscription_health
        set warnings = news.warnings
        where subscription_id = news.subscription_id;
        update subscriptions
        set told = 'failing'
        where id = news.subscription_id;
    end loop;
    full_at := written + most_written;
    for news in
        select s.id, s.tenant_id, s.disabled_reason
        from subscriptions as s
        where s.disabled_reason is not null
            and s.told is distinct from 'disabled'
            and s.deleted_at is null
        order by s.id
        limit most_noted
        for no key update of s skip locked
    loop
        exit when written = full_at;
        told := told + 1;
        written := written + raise_event(
            news.tenant_id, news.id, 'subscription.disabled', jsonb_build_object('reason', news.disabled_reason)
        )::integer;
        update subscriptions
        set told = 'disabled'
        where id = news.id;
    end loop;
    full_at := written + most_written;
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
        limit most_noted
        for no key update of s skip locked
    loop
        exit when written = full_at;
        told := told + 1;
        written := written + raise_event(
            news.tenant_id, news.id, 'subscription.recovered', jsonb_build_object('was', news.told)
        )::integer;
        update subscriptions
        set told = null
        where id = news.id;
    end loop;
    full_at := written + most_written;
    for news in
        select
            u.subscription_id, u.tenant_id, u.failed, u.expired, u.skipped, u.last_event_id, u.last_reason,
            exists (
                select 1
                from subscriptions as s
                where s.tenant_id = u.tenant_id
                    and s.id = u.subscription_id
                    and s.deleted_at is null
            ) as is_there
        from untold_failures as u
        where u.failed > 0
            and (u.told_at is null or u.told_at <= now() - make_interval(secs => pause))
        order by u.subscription_id
        limit most_noted
        for update skip locked
    loop
        exit when written = full_at;
        told := told + 1;
        if not news.is_there then
            delete from untold_failures
            where subscription_id = news.subscription_id;
            continue;
        end if;
        written := written + raise_event(
            news.tenant_id,
            news.subscription_id,
            'delivery.failed',
            jsonb_build_object(
                'failed', news.failed,
                'statuses', jsonb_strip_nulls(jsonb_build_object(
                    'failed', nullif(news.failed - news.expired - news.skipped, 0),
                    'expired', nullif(news.expired, 0),
                    'skipped', nullif(news.skipped, 0)
                )),
                'last_webhook_id', news.last_event_id,
                'last_reason', news.last_reason
            )
        )::integer;
        update untold_failures
        set
            failed = 0,
            expired = 0,
            skipped = 0,
            told_at = now()
        where subscription_id = news.subscription_id;
    end loop;
end
$$;

-- As a replica of the version before calls it.
create or replace function announce(warn_after double precision[], pause double precision) returns integer
language sql as $$
    select news.told::integer
    from announce_news(warn_after, pause) as news
$$;

-- Whose deliveries wait for their pace; those that wait for anything else cost this nothing.
create index deliveries_paced on deliveries (subscription_id, event_id)
where next_attempt_at = 'infinity' and held_for = 'paced';
