CREATE FUNCTION public.announce(warn_after double precision[], pause double precision) RETURNS integer
    LANGUAGE sql
    AS $$
    select news.told::integer
    from announce_news(warn_after, pause) as news
$$;
CREATE FUNCTION public.announce_news(warn_after double precision[], pause double precision, OUT told bigint, OUT written bigint) RETURNS record
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.announcement_types() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY['subscription.failing'::text, 'subscription.disabled'::text, 'subscription.recovered'::text, 'delivery.failed'::text, 'replay.finished'::text];
CREATE PROCEDURE public.apply_retention(IN payload_retention interval, IN log_retention interval, INOUT dropped text[] DEFAULT '{}'::text[], INOUT replaced text[] DEFAULT '{}'::text[], INOUT postponed text[] DEFAULT '{}'::text[], INOUT failed text[] DEFAULT '{}'::text[], INOUT forgotten bigint DEFAULT 0)
    LANGUAGE plpgsql
    AS $$
declare
    give_up_at constant timestamptz := clock_timestamp() + interval '30 seconds';
    -- No UUIDv7 is older than 1970.
    log_bound constant timestamptz := greatest(now() - greatest(payload_retention, log_retention), 'epoch');
    payloads_past constant uuid := uuid_v7_floor(greatest(now() - payload_retention, 'epoch'));
    log_past constant uuid := uuid_v7_floor(log_bound);
    past record;
    verdict text;
    locked_parent text := '';
    span record;
    orphans text;
    step record;
    reached uuid;
begin
    for past in
        select p.parent, p.partition
        from partitions as p
        where p.below_id <= case p.parent when 'events' then payloads_past else log_past end
        order by
            p.parent desc,
            p.from_id
    loop
        exit when clock_timestamp() > give_up_at;
        -- Those who write wait while a lock on the parent is waited for: once a call is enough.
        if past.parent = locked_parent then
            verdict := 'busy';
        else
            verdict := retire_partition(past.parent, past.partition);
            commit;
        end if;
        case verdict
            when 'dropped' then dropped := dropped || past.partition;
            when 'replaced' then replaced := replaced || past.partition;
            when 'failed' then failed := failed || past.partition;
            when 'waiting' then postponed := postponed || past.partition;
            when 'busy' then
                postponed := postponed || past.partition;
                locked_parent := past.parent;
            else null;
        end case;
    end loop;
    -- Where no partition stands, and where one was replaced just now. What an interruption
    -- leaves behind of the latter goes when that partition is dropped.
    for span in
        with standing as (
            select p.partition, p.from_id, p.below_id
            from partitions as p
            where p.parent = 'events'
        )
        select lag(s.below_id, 1, uuid_v7_floor('epoch')) over (order by s.from_id) as after_id, s.from_id as below_id
        from standing as s
        union all
        select s.from_id, s.below_id
        from standing as s
        where s.partition = any(replaced)
    loop
        continue when span.after_id = span.below_id;
        foreach orphans in array array['idempotency_keys', 'undelivered'] loop
            reached := span.after_id;
            while reached is not null and clock_timestamp() <= give_up_at loop
                step := forget_orphans(orphans, reached, least(span.below_id, payloads_past));
                commit;
                forgotten := forgotten + step.deleted;
                reached := step.reached;
            end loop;
        end loop;
    end loop;
    forgotten := forgotten + forget_subscriptions(log_bound - interval '1 day');
    commit;
end
$$;
CREATE FUNCTION public.changed_meanwhile() RETURNS bigint
    LANGUAGE plpgsql
    AS $$
begin
    raise 'a row was changed meanwhile' using errcode = 'serialization_failure';
end
$$;
CREATE FUNCTION public.ensure_partitions(from_day date, through_day date) RETURNS integer
    LANGUAGE plpgsql
    AS $$
declare
    parent text;
    day date;
    partition text;
    made integer := 0;
begin
    perform pg_advisory_xact_lock(hashtext('postrider.partitions'));
    foreach parent in array array['events', 'attempts'] loop
        day := from_day;
        while day <= through_day loop
            partition := format('%s_%s', parent, to_char(day, 'YYYYMMDD'));
            if to_regclass(partition) is null then
                execute format('create table %I (like %I including all)', partition, parent);
                execute format(
                    'alter table %I attach partition %I for values from (%L) to (%L)',
                    parent,
                    partition,
                    uuid_v7_floor(day::timestamp at time zone 'UTC'),
                    uuid_v7_floor((day + 1)::timestamp at time zone 'UTC')
                );
                made := made + 1;
            end if;
            day := day + 1;
        end loop;
    end loop;
    return made;
end
$$;
CREATE FUNCTION public.forget_health() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.forget_orphans(orphans text, after_id uuid, below_id uuid, OUT deleted bigint, OUT reached uuid) RETURNS record
    LANGUAGE plpgsql
    SET lock_timeout TO '250ms'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $_$
begin
    deleted := 0;
    if not pg_try_advisory_xact_lock(hashtext('postrider.retention')) then
        return;
    end if;
    execute format(
        'with looked as materialized (
            select r.ctid as place, r.tenant_id, r.event_id
            from %1$I as r
            where r.event_id > $1
                and r.event_id < $2
            order by r.event_id
            fetch first 5000 rows with ties
        ),
        deleted as (
            delete from %1$I as r
            where r.ctid = any(array(
                select l.place
                from looked as l
                where not exists (
                    select 1
                    from events as e
                    where e.tenant_id = l.tenant_id
                        and e.id = l.event_id
                )
            ))
            returning 1
        )
        select
            (select count(*) from deleted),
            (select l.event_id from looked as l order by l.event_id desc limit 1)',
        orphans
    ) into deleted, reached using after_id, below_id;
exception when lock_not_available then
    deleted := 0;
end
$_$;
CREATE FUNCTION public.forget_subscriptions(deleted_before timestamp with time zone) RETURNS bigint
    LANGUAGE sql
    AS $$
    with turn as materialized (
        select pg_try_advisory_xact_lock(hashtext('postrider.retention')) as mine
    ),
    gone as (
        delete from subscriptions as s
        where (select turn.mine from turn)
            and s.deleted_at < deleted_before
            and s.id in (
                select x.id
                from subscriptions as x
                where x.deleted_at < deleted_before
                    and not exists (
                        select 1
                        from attempts as a
                        where a.subscription_id = x.id
                    )
                    and not exists (
                        select 1
                        from deliveries as d
                        where d.subscription_id = x.id
                            and d.next_attempt_at = 'infinity'
                    )
                limit 5000
            )
        returning s.id
    ),
    unheld as (
        delete from holds as h
        where h.subscription_id in (select g.id from gone as g)
    )
    select count(*)
    from gone
$$;
CREATE FUNCTION public.is_wanted(event_type text, patterns text[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((cardinality(patterns) = 0) OR (EXISTS (SELECT 1 FROM unnest(is_wanted.patterns) p(pattern) WHERE ((p.pattern = is_wanted.event_type) OR (("right"(p.pattern, 1) = '*'::text) AND starts_with(is_wanted.event_type, "left"(p.pattern, '-1'::integer)))))));
CREATE FUNCTION public.later_version(version bigint) RETURNS bigint
    LANGUAGE sql
    RETURN GREATEST((version + 1), ((EXTRACT(epoch FROM clock_timestamp()) * (1000000)::numeric))::bigint);
CREATE FUNCTION public.note_failures() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.owe_again(tenant uuid, event_ids uuid[], subscription_ids uuid[], lifetime interval) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
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
CREATE TABLE public.attempts (
    tenant_id uuid NOT NULL,
    subscription_id uuid NOT NULL,
    id uuid NOT NULL,
    event_id uuid NOT NULL,
    event_type text,
    attempt_number smallint NOT NULL,
    outcome text NOT NULL,
    status_code smallint,
    error_message text,
    response_body bytea,
    remote_address inet,
    duration_ms integer,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT attempts_body_length CHECK ((octet_length(response_body) <= 16384)),
    CONSTRAINT attempts_success_has_no_error CHECK (((outcome = 'delivered'::text) = (error_message IS NULL)))
)
PARTITION BY RANGE (id);
CREATE FUNCTION public.owed_attempts(from_id uuid, below_id uuid) RETURNS SETOF public.attempts
    LANGUAGE sql STABLE
    AS $$
    select a.*
    from events as e
    cross join lateral (
        select x.*
        from attempts as x
        where x.event_id = e.id
            and x.tenant_id = e.tenant_id
            and x.id >= owed_attempts.from_id
            and x.id < owed_attempts.below_id
    ) as a
    -- An attempt may seem to begin a moment before its event, by another clock.
    where e.id < uuid_v7_floor(uuid_v7_time(owed_attempts.below_id) + interval '10 seconds')
$$;
CREATE TABLE public.events (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    event_type text,
    payload bytea NOT NULL,
    accepted_at timestamp with time zone DEFAULT now() NOT NULL,
    fan_out boolean,
    about uuid
)
PARTITION BY RANGE (id);
CREATE FUNCTION public.owed_events(from_id uuid, below_id uuid) RETURNS SETOF public.events
    LANGUAGE sql STABLE
    AS $$
    with recursive waiting as (
        (
            select d.tenant_id
            from deliveries as d
            order by d.tenant_id
            limit 1
        )
        union all
        select next.tenant_id
        from waiting as w
        cross join lateral (
            select d.tenant_id
            from deliveries as d
            where d.tenant_id > w.tenant_id
            order by d.tenant_id
            limit 1
        ) as next
    )
    select e.*
    from waiting as w
    cross join lateral (
        select distinct d.event_id
        from deliveries as d
        where d.tenant_id = w.tenant_id
            and d.event_id >= owed_events.from_id
            and d.event_id < owed_events.below_id
    ) as d
    cross join lateral (
        select x.*
        from events as x
        where x.tenant_id = w.tenant_id
            and x.id = d.event_id
            and x.id >= owed_events.from_id
            and x.id < owed_events.below_id
        limit 1
    ) as e
$$;
CREATE FUNCTION public.raise_event(tenant uuid, subject uuid, kind text, details jsonb) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.raise_subscriptions_version() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.readable(bytes bytea) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT
    AS $$
begin
    return convert_from(bytes, 'UTF8');
exception when others then
    return encode(bytes, 'escape');
end
$$;
CREATE FUNCTION public.retire_partition(parent text, partition text) RETURNS text
    LANGUAGE plpgsql
    SET lock_timeout TO '250ms'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
    most_rows constant bigint := 100000;
    most_bytes constant bigint := 268435456;
    longest_look constant interval := '500 ms';
    few_rows constant bigint := 100;
    body constant text := case retire_partition.parent when 'events' then 'payload' else 'response_body' end;
    fresh constant text := retire_partition.partition || '_owed';
    from_id uuid;
    below_id uuid;
    owed text;
    owed_rows bigint;
    owed_bytes bigint;
    -- Rows from which it is written again: one to spare, where few are owed.
    worth_rows bigint;
    all_rows bigint;
    added boolean;
    looked_at timestamptz;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise 'retention needs read committed: the last look has to see what was committed since the first'
            using errcode = 'invalid_transaction_state', hint = 'Set default_transaction_isolation to read committed in this session.';
    end if;
    if not pg_try_advisory_xact_lock(hashtext('postrider.retention')) then
        return 'busy';
    end if;
    select p.from_id, p.below_id
    into from_id, below_id
    from partitions as p
    where p.parent = retire_partition.parent
        and p.partition = retire_partition.partition
        and p.from_id is not null
        and p.below_id <= uuid_v7_floor((date_trunc('day', now() at time zone 'UTC') - interval '1 day') at time zone 'UTC');
    if not found then
        return 'spared';
    end if;
    looked_at := clock_timestamp();
    owed := format('owed_%s(%L, %L)', parent, from_id, below_id);
    execute format(
        'select count(*), coalesce(sum(octet_length(o.body)), 0) from (select %I as body from %s limit %s) as o',
        body, owed, most_rows + 1
    ) into owed_rows, owed_bytes;
    if owed_rows > most_rows or owed_bytes > most_bytes or clock_timestamp() - looked_at > longest_look then
        return 'waiting';
    end if;
    if owed_rows > 0 then
        worth_rows := case when owed_rows <= few_rows then owed_rows + 1 else 2 * owed_rows end;
        execute format('select count(*) from (select 1 from %I limit %s) as r', partition, worth_rows)
        into all_rows;
        if all_rows < worth_rows then
            return 'kept';
        end if;
        execute format(
            'create table %I (like %I including all, constraint within check (id >= %L and id < %L))',
            fresh, parent, from_id, below_id
        );
        execute format('insert into %I select o.* from %s as o', fresh, owed);
    end if;
    execute format('lock table only %I in access exclusive mode', parent);
    if owed_rows = 0 then
        execute format('select exists (select 1 from %s)', owed) into added;
    else
        execute format('select exists (select id from %s except select id from %I)', owed, fresh) into added;
    end if;
    if added then
        raise lock_not_available;
    end if;
    execute format('drop table %I', partition);
    if owed_rows = 0 then
        return 'dropped';
    end if;
    execute format('alter table %I attach partition %I for values from (%L) to (%L)', parent, fresh, from_id, below_id);
    execute format('alter table %I drop constraint within', fresh);
    execute format('alter table %I rename to %I', fresh, partition);
    return 'replaced';
exception
    when lock_not_available then
        return 'busy';
    when invalid_transaction_state then
        raise;
    when others then
        raise warning 'partition % cannot be retired: %', partition, sqlerrm;
        return 'failed';
end
$$;
CREATE FUNCTION public.rfc3339(moment timestamp with time zone) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN to_char((moment AT TIME ZONE 'UTC'::text), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'::text);
CREATE FUNCTION public.show_breaker() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
declare
    shown text := case when tg_op <> 'DELETE' then new.state end;
    whose uuid := case when tg_op = 'DELETE' then old.subscription_id else new.subscription_id end;
begin
    update subscriptions
    set breaker = shown
    where id = whose
        and breaker is distinct from shown;
    return null;
end
$$;
CREATE FUNCTION public.uuid_v7(at timestamp with time zone DEFAULT clock_timestamp()) RETURNS uuid
    LANGUAGE sql PARALLEL SAFE
    RETURN (((lpad(to_hex((floor((EXTRACT(epoch FROM at) * (1000)::numeric)))::bigint), 12, '0'::text) || '7'::text) || substr(replace((gen_random_uuid())::text, '-'::text, ''::text), 14, 19)))::uuid;
CREATE FUNCTION public.uuid_v7_floor(at timestamp with time zone) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN ((lpad(to_hex((floor((EXTRACT(epoch FROM at) * (1000)::numeric)))::bigint), 12, '0'::text) || repeat('0'::text, 20)))::uuid;
CREATE FUNCTION public.uuid_v7_time(id uuid) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN to_timestamp((((((('x0000'::text || replace("left"((id)::text, 13), '-'::text, ''::text)))::bit(64))::bigint)::numeric / 1000.0))::double precision);
CREATE TABLE public.deliveries (
    tenant_id uuid NOT NULL,
    event_id uuid NOT NULL,
    subscription_id uuid NOT NULL,
    next_attempt_at timestamp with time zone NOT NULL,
    lease uuid,
    attempts smallint DEFAULT 0 NOT NULL,
    free_attempts smallint DEFAULT 0 NOT NULL,
    held_for text,
    ordering_key text,
    expires_at timestamp with time zone,
    "position" bigint,
    CONSTRAINT deliveries_attempts_counted CHECK (((free_attempts >= 0) AND (free_attempts <= attempts))),
    CONSTRAINT deliveries_held_is_not_leased CHECK (((held_for IS NULL) OR (lease IS NULL))),
    CONSTRAINT deliveries_held_is_parked CHECK (((held_for IS NOT NULL) = (next_attempt_at = 'infinity'::timestamp with time zone))),
    CONSTRAINT deliveries_line_has_position CHECK (((ordering_key IS NULL) = ("position" IS NULL))),
    CONSTRAINT deliveries_ordered_is_in_line CHECK (((held_for IS DISTINCT FROM 'ordered'::text) OR (ordering_key IS NOT NULL)))
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='2000', autovacuum_vacuum_insert_scale_factor='0', autovacuum_vacuum_insert_threshold='10000', autovacuum_vacuum_cost_delay='0', vacuum_truncate=off);
CREATE TABLE public.subscriptions (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    target_url text NOT NULL,
    secret bytea NOT NULL,
    event_types text[] DEFAULT '{}'::text[] NOT NULL,
    description text,
    is_active boolean DEFAULT true NOT NULL,
    disabled_reason text,
    verify_ingest boolean NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    deleted_at timestamp with time zone,
    older_secrets bytea[] DEFAULT '{}'::bytea[] NOT NULL,
    older_until timestamp with time zone[] DEFAULT '{}'::timestamp with time zone[] NOT NULL,
    external_id text,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    header_names text[] DEFAULT '{}'::text[] NOT NULL,
    auth_type text,
    sealed_headers bytea,
    retry_schedule text,
    max_attempts smallint,
    request_timeout_ms integer,
    least_lease_seconds double precision GENERATED ALWAYS AS ((((request_timeout_ms)::numeric / 1000.0) + (15)::numeric)) STORED,
    rate_limit integer,
    max_in_flight integer,
    is_ordered boolean DEFAULT false NOT NULL,
    skip_after_attempts integer,
    breaker text,
    is_paced boolean GENERATED ALWAYS AS (((rate_limit IS NOT NULL) OR (max_in_flight IS NOT NULL) OR (breaker IS NOT NULL))) STORED NOT NULL,
    told text,
    listed_version bigint DEFAULT 0 NOT NULL,
    CONSTRAINT subscriptions_active_has_no_reason CHECK (((disabled_reason IS NULL) OR (NOT is_active))),
    CONSTRAINT subscriptions_attempts_counted CHECK ((((max_attempts IS NOT NULL) = (retry_schedule IS NOT NULL)) AND (max_attempts > 0))),
    CONSTRAINT subscriptions_auth_known CHECK ((auth_type = ANY (ARRAY['basic'::text, 'bearer'::text]))),
    CONSTRAINT subscriptions_breaker_known CHECK ((breaker = ANY (ARRAY['open'::text, 'throttled'::text, 'recovering'::text]))),
    CONSTRAINT subscriptions_headers_sealed CHECK (((sealed_headers IS NOT NULL) = ((auth_type IS NOT NULL) OR (cardinality(header_names) > 0)))),
    CONSTRAINT subscriptions_max_in_flight_positive CHECK ((max_in_flight > 0)),
    CONSTRAINT subscriptions_older_few CHECK ((cardinality(older_secrets) <= 4)),
    CONSTRAINT subscriptions_older_paired CHECK ((cardinality(older_secrets) = cardinality(older_until))),
    CONSTRAINT subscriptions_rate_limit_positive CHECK ((rate_limit > 0)),
    CONSTRAINT subscriptions_request_timeout_range CHECK (((request_timeout_ms >= 1000) AND (request_timeout_ms <= 60000))),
    CONSTRAINT subscriptions_skip_after_positive CHECK ((skip_after_attempts > 0)),
    CONSTRAINT subscriptions_told_known CHECK ((told = ANY (ARRAY['failing'::text, 'disabled'::text]))),
    CONSTRAINT subscriptions_version_positive CHECK ((version > 0))
);
CREATE TABLE public.undelivered (
    tenant_id uuid NOT NULL,
    event_id uuid NOT NULL,
    subscription_id uuid NOT NULL,
    status text NOT NULL,
    reason text NOT NULL,
    attempts smallint NOT NULL,
    ended_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT undelivered_status_known CHECK ((status = ANY (ARRAY['failed'::text, 'cancelled'::text, 'expired'::text, 'skipped'::text])))
);
CREATE VIEW public.all_deliveries AS
 SELECT d.tenant_id,
    d.event_id,
    d.subscription_id,
        CASE
            WHEN (s.deleted_at IS NOT NULL) THEN 'cancelled'::text
            WHEN ((NOT s.is_active) OR (d.held_for IS NOT NULL)) THEN 'held'::text
            WHEN ((d.lease IS NOT NULL) AND (d.next_attempt_at > now())) THEN 'sending'::text
            ELSE 'pending'::text
        END AS status,
        CASE
            WHEN (s.deleted_at IS NOT NULL) THEN 'subscription_deleted'::text
            WHEN (NOT s.is_active) THEN 'disabled'::text
            WHEN (d.held_for = 'paced'::text) THEN
            CASE
                WHEN (s.breaker = 'open'::text) THEN 'breaker_open'::text
                WHEN (s.breaker = 'throttled'::text) THEN 'retry_after'::text
                WHEN (s.breaker = 'recovering'::text) THEN 'recovering'::text
                WHEN (s.rate_limit IS NOT NULL) THEN 'rate_limit'::text
                ELSE 'in_flight'::text
            END
            ELSE d.held_for
        END AS reason,
    (d.attempts)::integer AS attempts,
        CASE
            WHEN ((s.deleted_at IS NULL) AND s.is_active AND (d.lease IS NULL)) THEN NULLIF(d.next_attempt_at, 'infinity'::timestamp with time zone)
            ELSE NULL::timestamp with time zone
        END AS next_attempt_at
   FROM (public.deliveries d
     JOIN public.subscriptions s ON (((s.tenant_id = d.tenant_id) AND (s.id = d.subscription_id))))
UNION ALL
 SELECT u.tenant_id,
    u.event_id,
    u.subscription_id,
    u.status,
    u.reason,
    (u.attempts)::integer AS attempts,
    NULL::timestamp with time zone AS next_attempt_at
   FROM public.undelivered u
UNION ALL
 SELECT a.tenant_id,
    a.event_id,
    a.subscription_id,
    'succeeded'::text AS status,
    NULL::text AS reason,
    (max(a.attempt_number))::integer AS attempts,
    NULL::timestamp with time zone AS next_attempt_at
   FROM public.attempts a
  WHERE ((a.outcome = 'delivered'::text) AND (NOT (EXISTS ( SELECT 1
           FROM public.deliveries d
          WHERE ((d.tenant_id = a.tenant_id) AND (d.event_id = a.event_id) AND (d.subscription_id = a.subscription_id))))) AND (NOT (EXISTS ( SELECT 1
           FROM public.undelivered u
          WHERE ((u.tenant_id = a.tenant_id) AND (u.event_id = a.event_id) AND (u.subscription_id = a.subscription_id))))))
  GROUP BY a.tenant_id, a.event_id, a.subscription_id;
CREATE TABLE public.api_keys (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    scope text NOT NULL,
    secret_hash bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    last_used_at timestamp with time zone,
    revoked_at timestamp with time zone,
    CONSTRAINT api_keys_hash_length CHECK ((octet_length(secret_hash) = 32)),
    CONSTRAINT api_keys_scope_known CHECK ((scope = ANY (ARRAY['admin'::text, 'publish'::text, 'read'::text])))
);
CREATE SEQUENCE public.deliveries_position
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE VIEW public.delivery_logs AS
 SELECT a.id,
    a.subscription_id,
    a.event_id AS webhook_id,
    a.event_type,
    ( SELECT e.payload
           FROM public.events e
          WHERE ((e.tenant_id = a.tenant_id) AND (e.id = a.event_id))) AS payload,
    (a.attempt_number)::integer AS attempt_number,
    (a.status_code)::integer AS status_code,
    public.readable(a.response_body) AS response_body,
    a.error_message,
    (a.outcome = 'delivered'::text) AS is_success,
    a.created_at
   FROM public.attempts a;
CREATE TABLE public.holds (
    tenant_id uuid NOT NULL,
    subscription_id uuid NOT NULL,
    reason text NOT NULL,
    ordering_key text DEFAULT ''::text NOT NULL,
    owner uuid NOT NULL,
    until timestamp with time zone NOT NULL,
    CONSTRAINT holds_until_finite CHECK ((until < 'infinity'::timestamp with time zone))
);
CREATE TABLE public.idempotency_keys (
    tenant_id uuid NOT NULL,
    key text NOT NULL,
    event_id uuid NOT NULL,
    fingerprint bytea NOT NULL,
    CONSTRAINT idempotency_keys_fingerprint_length CHECK ((octet_length(fingerprint) = 32))
);
CREATE TABLE public.paces (
    subscription_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    owner uuid NOT NULL,
    until timestamp with time zone NOT NULL,
    CONSTRAINT paces_until_finite CHECK ((until < 'infinity'::timestamp with time zone))
);
CREATE VIEW public.parked_subscriptions AS
 WITH RECURSIVE parked AS (
        ( SELECT d.subscription_id,
            d.held_for
           FROM public.deliveries d
          WHERE (d.next_attempt_at = 'infinity'::timestamp with time zone)
          ORDER BY d.subscription_id, d.held_for
         LIMIT 1)
        UNION ALL
         SELECT next.subscription_id,
            next.held_for
           FROM (parked p
             CROSS JOIN LATERAL ( SELECT d.subscription_id,
                    d.held_for
                   FROM public.deliveries d
                  WHERE ((d.next_attempt_at = 'infinity'::timestamp with time zone) AND (ROW(d.subscription_id, d.held_for) > ROW(p.subscription_id, p.held_for)))
                  ORDER BY d.subscription_id, d.held_for
                 LIMIT 1) next)
        )
 SELECT parked.subscription_id,
    parked.held_for
   FROM parked;
CREATE VIEW public.partitions AS
 SELECT (parent.relname)::text AS parent,
    (child.relname)::text AS partition,
    ("substring"(bound.text, 'FROM \(''([0-9a-f-]{36})'''::text))::uuid AS from_id,
    ("substring"(bound.text, 'TO \(''([0-9a-f-]{36})'''::text))::uuid AS below_id
   FROM (((pg_inherits i
     JOIN pg_class parent ON ((parent.oid = i.inhparent)))
     JOIN pg_class child ON ((child.oid = i.inhrelid)))
     CROSS JOIN LATERAL ( SELECT pg_get_expr(child.relpartbound, child.oid) AS text) bound)
  WHERE (i.inhparent = ANY (ARRAY[('public.events'::regclass)::oid, ('public.attempts'::regclass)::oid]));
CREATE TABLE public.replays (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    subscription_id uuid NOT NULL,
    statuses text[] NOT NULL,
    event_types text[] DEFAULT '{}'::text[] NOT NULL,
    after_id uuid NOT NULL,
    below_id uuid NOT NULL,
    rate integer NOT NULL,
    status text DEFAULT 'running'::text NOT NULL,
    reached uuid NOT NULL,
    replayed bigint DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    stepped_at timestamp with time zone DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone NOT NULL,
    stepped integer DEFAULT 0 NOT NULL,
    ended_at timestamp with time zone,
    CONSTRAINT replays_ended_when_not_running CHECK (((status = 'running'::text) = (ended_at IS NULL))),
    CONSTRAINT replays_rate_range CHECK (((rate >= 1) AND (rate <= 10000))),
    CONSTRAINT replays_status_known CHECK ((status = ANY (ARRAY['running'::text, 'finished'::text, 'cancelled'::text]))),
    CONSTRAINT replays_statuses_known CHECK (((statuses <@ ARRAY['failed'::text, 'expired'::text, 'skipped'::text, 'cancelled'::text, 'succeeded'::text, 'missed'::text]) AND (cardinality(statuses) > 0)))
);
CREATE TABLE public.subscription_health (
    subscription_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    state text,
    failures integer DEFAULT 0 NOT NULL,
    failing_since timestamp with time zone,
    last_failure_at timestamp with time zone,
    opened_at timestamp with time zone,
    probe_at timestamp with time zone,
    probes integer DEFAULT 0 NOT NULL,
    width integer,
    warnings integer DEFAULT 0 NOT NULL,
    CONSTRAINT subscription_health_failures_counted CHECK ((failures >= 0)),
    CONSTRAINT subscription_health_recovers_by_width CHECK ((((state = 'recovering'::text) IS NOT TRUE) OR (width > 0))),
    CONSTRAINT subscription_health_state_known CHECK ((state = ANY (ARRAY['open'::text, 'throttled'::text, 'recovering'::text]))),
    CONSTRAINT subscription_health_waits_for_a_time CHECK (((state IS NULL) OR (state = 'recovering'::text) OR (probe_at IS NOT NULL)))
);
CREATE TABLE public.tenants (
    id uuid NOT NULL,
    name text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    subscriptions_version bigint DEFAULT 1 NOT NULL,
    CONSTRAINT tenants_name_length CHECK (((char_length(name) >= 1) AND (char_length(name) <= 100))),
    CONSTRAINT tenants_subscriptions_version_positive CHECK ((subscriptions_version > 0))
);
CREATE TABLE public.untold_failures (
    subscription_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    failed bigint NOT NULL,
    last_event_id uuid NOT NULL,
    last_reason text NOT NULL,
    told_at timestamp with time zone,
    expired bigint DEFAULT 0 NOT NULL,
    skipped bigint DEFAULT 0 NOT NULL
);
ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.attempts
    ADD CONSTRAINT attempts_pkey PRIMARY KEY (subscription_id, id);
ALTER TABLE ONLY public.deliveries
    ADD CONSTRAINT deliveries_pkey PRIMARY KEY (tenant_id, event_id, subscription_id);
ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (tenant_id, id);
ALTER TABLE ONLY public.holds
    ADD CONSTRAINT holds_pkey PRIMARY KEY (subscription_id, reason, ordering_key, owner);
ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (tenant_id, key);
ALTER TABLE ONLY public.paces
    ADD CONSTRAINT paces_pkey PRIMARY KEY (subscription_id);
ALTER TABLE ONLY public.replays
    ADD CONSTRAINT replays_pkey PRIMARY KEY (tenant_id, id);
ALTER TABLE ONLY public.subscription_health
    ADD CONSTRAINT subscription_health_pkey PRIMARY KEY (subscription_id);
ALTER TABLE ONLY public.subscriptions
    ADD CONSTRAINT subscriptions_id_unique UNIQUE (id);
ALTER TABLE ONLY public.subscriptions
    ADD CONSTRAINT subscriptions_pkey PRIMARY KEY (tenant_id, id);
ALTER TABLE ONLY public.tenants
    ADD CONSTRAINT tenants_name_unique UNIQUE (name);
ALTER TABLE ONLY public.tenants
    ADD CONSTRAINT tenants_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.undelivered
    ADD CONSTRAINT undelivered_pkey PRIMARY KEY (tenant_id, event_id, subscription_id);
ALTER TABLE ONLY public.untold_failures
    ADD CONSTRAINT untold_failures_pkey PRIMARY KEY (subscription_id);
CREATE INDEX api_keys_tenant ON public.api_keys USING btree (tenant_id, id);
CREATE INDEX attempts_event ON ONLY public.attempts USING btree (event_id, subscription_id);
CREATE INDEX deliveries_due ON public.deliveries USING btree (next_attempt_at) WHERE (next_attempt_at < 'infinity'::timestamp with time zone);
CREATE INDEX deliveries_expiring ON public.deliveries USING btree (expires_at) WHERE ((expires_at IS NOT NULL) AND (next_attempt_at = 'infinity'::timestamp with time zone));
CREATE INDEX deliveries_held ON public.deliveries USING btree (subscription_id, held_for, event_id) WHERE (next_attempt_at = 'infinity'::timestamp with time zone);
CREATE INDEX deliveries_ordered ON public.deliveries USING btree (subscription_id, ordering_key, "position") WHERE (ordering_key IS NOT NULL);
CREATE INDEX deliveries_paced ON public.deliveries USING btree (subscription_id, event_id) WHERE ((next_attempt_at = 'infinity'::timestamp with time zone) AND (held_for = 'paced'::text));
CREATE INDEX idempotency_keys_event ON public.idempotency_keys USING btree (event_id);
CREATE INDEX paces_owner ON public.paces USING btree (owner);
CREATE INDEX replays_running ON public.replays USING btree (stepped_at) WHERE (status = 'running'::text);
CREATE INDEX subscription_health_failing ON public.subscription_health USING btree (failing_since) WHERE (failing_since IS NOT NULL);
CREATE INDEX subscriptions_asking ON public.subscriptions USING btree (tenant_id, id) WHERE (event_types && public.announcement_types());
CREATE INDEX subscriptions_deleted ON public.subscriptions USING btree (deleted_at) WHERE (deleted_at IS NOT NULL);
CREATE UNIQUE INDEX subscriptions_external_id ON public.subscriptions USING btree (tenant_id, external_id) WHERE ((external_id IS NOT NULL) AND (deleted_at IS NULL));
CREATE INDEX subscriptions_listed ON public.subscriptions USING btree (listed_version, tenant_id);
CREATE INDEX subscriptions_to_tell ON public.subscriptions USING btree (id) WHERE ((told IS NOT NULL) OR (disabled_reason IS NOT NULL));
CREATE INDEX undelivered_event ON public.undelivered USING btree (event_id);
CREATE INDEX undelivered_subscription ON public.undelivered USING btree (subscription_id, event_id);
CREATE INDEX untold_failures_waiting ON public.untold_failures USING btree (told_at) WHERE (failed > 0);
CREATE TRIGGER subscription_health_shown AFTER INSERT OR DELETE OR UPDATE OF state ON public.subscription_health FOR EACH ROW EXECUTE FUNCTION public.show_breaker();
CREATE TRIGGER subscriptions_begin_anew AFTER UPDATE OF is_active, target_url, deleted_at ON public.subscriptions FOR EACH ROW WHEN (((new.is_active AND (NOT old.is_active)) OR (new.target_url <> old.target_url) OR ((new.deleted_at IS NOT NULL) AND (old.deleted_at IS NULL)))) EXECUTE FUNCTION public.forget_health();
CREATE TRIGGER subscriptions_changed AFTER UPDATE ON public.subscriptions REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.raise_subscriptions_version();
CREATE TRIGGER subscriptions_written AFTER INSERT ON public.subscriptions REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.raise_subscriptions_version();
CREATE TRIGGER undelivered_noted AFTER INSERT ON public.undelivered REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.note_failures();
ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
ALTER TABLE ONLY public.subscriptions
    ADD CONSTRAINT subscriptions_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
