CREATE SCHEMA analytics;
CREATE SCHEMA postrider;
CREATE FUNCTION postrider.publish(event_type text, payload bytea, tenant text DEFAULT NULL::text, subscription_id text DEFAULT NULL::text, idempotency_key text DEFAULT NULL::text, ordering_key text DEFAULT NULL::text, deliver_at timestamp with time zone DEFAULT NULL::timestamp with time zone, expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone, notify boolean DEFAULT true) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    return outbox_publish(
        event_type, payload, tenant, subscription_id, idempotency_key, ordering_key, deliver_at, expires_at, notify
    );
end
$$;
CREATE FUNCTION postrider.publish(event_type text, payload jsonb, tenant text DEFAULT NULL::text, subscription_id text DEFAULT NULL::text, idempotency_key text DEFAULT NULL::text, ordering_key text DEFAULT NULL::text, deliver_at timestamp with time zone DEFAULT NULL::timestamp with time zone, expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone, notify boolean DEFAULT true) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    return outbox_publish(
        event_type, convert_to(payload::text, 'UTF8'), tenant, subscription_id, idempotency_key, ordering_key,
        deliver_at, expires_at, notify
    );
end
$$;
CREATE FUNCTION postrider.publish(event_type text, payload text, tenant text DEFAULT NULL::text, subscription_id text DEFAULT NULL::text, idempotency_key text DEFAULT NULL::text, ordering_key text DEFAULT NULL::text, deliver_at timestamp with time zone DEFAULT NULL::timestamp with time zone, expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone, notify boolean DEFAULT true) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    return outbox_publish(
        event_type, convert_to(payload, 'UTF8'), tenant, subscription_id, idempotency_key, ordering_key, deliver_at,
        expires_at, notify
    );
end
$$;
CREATE FUNCTION public.analytics_views() RETURNS TABLE(view oid, name name, place regnamespace)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public'
    AS $$
begin
    return query
    select c.oid, c.relname, c.relnamespace::regnamespace
    from pg_class as c
    where c.relkind = 'v'
        and (
            c.relnamespace = to_regnamespace('analytics')
            or (c.relnamespace = current_schema()::regnamespace and c.relname like 'analytics\_%')
        )
        and exists (
            select 1
            from pg_rewrite as r
            inner join pg_depend as d
                on d.classid = 'pg_rewrite'::regclass
                and d.objid = r.oid
                and d.refclassid = 'pg_class'::regclass
                and d.refobjid in (
                    'tenants'::regclass, 'rollup_minutes'::regclass, 'rollup_hours'::regclass,
                    'queue_depth_minutes'::regclass, 'queue_depth_hours'::regclass
                )
            where r.ev_class = c.oid
        );
end
$$;
CREATE TABLE public.api_keys (
    tenant_id uuid,
    id uuid NOT NULL,
    name text,
    scope text,
    capabilities text[],
    secret_hash bytea NOT NULL,
    changed_by jsonb,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    last_used_at timestamp with time zone,
    revoked_at timestamp with time zone,
    CONSTRAINT api_keys_capabilities_known CHECK (((cardinality(capabilities) > 0) AND (capabilities <@ ARRAY['read'::text, 'manage'::text]))),
    CONSTRAINT api_keys_hash_length CHECK ((octet_length(secret_hash) = 32)),
    CONSTRAINT api_keys_name_length CHECK (((char_length(name) >= 1) AND (char_length(name) <= 100))),
    CONSTRAINT api_keys_scope_known CHECK ((scope = ANY (ARRAY['admin'::text, 'publish'::text, 'read'::text, 'support'::text]))),
    CONSTRAINT api_keys_scope_or_capabilities CHECK (((scope IS NULL) <> (capabilities IS NULL))),
    CONSTRAINT api_keys_session_ends CHECK (((capabilities IS NULL) OR ((tenant_id IS NOT NULL) AND (expires_at IS NOT NULL))))
);
CREATE FUNCTION public.api_key_document(k public.api_keys) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'public'
    RETURN CASE WHEN ((k).capabilities IS NULL) THEN jsonb_build_object('name', (k).name, 'scope', (k).scope, 'tenant_id', (k).tenant_id, 'expires_at', (k).expires_at) ELSE jsonb_build_object('capabilities', (k).capabilities, 'tenant_id', (k).tenant_id, 'expires_at', (k).expires_at) END;
CREATE FUNCTION public.api_keys_create_1(new_tenant uuid, tenant text, key uuid, key_name text, key_scope text, hash bytea, expiry timestamp with time zone, actor jsonb, OUT owner uuid, OUT is_made boolean) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public'
    AS $_$
begin
    if tenant ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' then
        select t.id
        into owner
        from tenants as t
        where t.id = tenant::uuid
            and t.deleted_at is null;
    elsif tenant is not null then
        insert into tenants (id, external_id, name, changed_by)
        values (new_tenant, tenant, left(tenant, 100), actor)
        on conflict (external_id) where deleted_at is null do nothing;
        select t.id
        into owner
        from tenants as t
        where t.external_id = tenant
            and t.deleted_at is null;
    end if;
    is_made := tenant is null or owner is not null;
    if is_made then
        insert into api_keys (tenant_id, id, name, scope, secret_hash, expires_at, changed_by)
        values (owner, key, key_name, key_scope, hash, expiry, actor);
    end if;
end
$_$;
CREATE FUNCTION public.api_keys_open_session_1(tenant uuid, session uuid, session_capabilities text[], hash bytea, lifetime_seconds double precision, most integer, actor jsonb) RETURNS TABLE(ends_at timestamp with time zone)
    LANGUAGE plpgsql
    SET search_path TO 'public'
    AS $$
declare
    live bigint;
begin
    -- The lock makes the count exact.
    perform t.id
    from tenants as t
    where t.id = tenant
        and t.deleted_at is null
    for no key update;
    if not found then
        return;
    end if;
    select count(*)
    into live
    from (
        select 1
        from api_keys as k
        where k.tenant_id = tenant
            and k.capabilities is not null
            and k.expires_at > now()
            and k.revoked_at is null
        limit most
    ) as k;
    if live >= most then
        return query select null::timestamptz;
        return;
    end if;
    return query
    insert into api_keys as k (tenant_id, id, capabilities, secret_hash, expires_at, changed_by)
    values (tenant, session, session_capabilities, hash, now() + make_interval(secs => lifetime_seconds), actor)
    returning k.expires_at;
end
$$;
CREATE FUNCTION public.attempts_log_lost_1(tenant_ids uuid[], event_ids uuid[], subscription_ids uuid[], numbers integer[], times timestamp with time zone[], triggers text[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
declare
    written constant timestamptz := now();
begin
    insert into attempts (
        tenant_id, subscription_id, id, event_id, event_type, attempt_number, outcome, error_message, created_at,
        written_at, trigger
    )
    select
        l.tenant_id,
        l.subscription_id,
        uuid_v7(began.at),
        l.event_id,
        e.event_type,
        l.number,
        'unknown',
        'unknown: the worker was lost before the outcome was recorded',
        began.at,
        written,
        coalesce(l.trigger, case when l.number > 1 then 'schedule' end)
    from unnest(tenant_ids, event_ids, subscription_ids, numbers, times, triggers)
        as l (tenant_id, event_id, subscription_id, number, began_at, trigger)
    cross join lateral (
        select greatest(written - interval '12 hours', least(written, l.began_at)) as at
    ) as began
    cross join lateral (
        select x.event_type
        from events as x
        where x.tenant_id = l.tenant_id
            and x.id = l.event_id
        limit 1
    ) as e;
end
$$;
CREATE FUNCTION public.attempts_newest_1(tenant uuid, event uuid, subscription uuid, first_attempt uuid, OUT outcome text, OUT status_code smallint, OUT error_message text, OUT created_at timestamp with time zone) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
begin
    select a.outcome, a.status_code, a.error_message, a.created_at
    into outcome, status_code, error_message, created_at
    from (
        select x.tenant_id, x.id, x.outcome, x.status_code, x.error_message, x.created_at
        from attempts as x
        where x.event_id = event
            and x.subscription_id = subscription
            and x.id >= first_attempt
            and x.trigger is distinct from 'test'
        offset 0
    ) as a
    where a.tenant_id = tenant
    order by a.id desc
    limit 1;
end
$$;
CREATE FUNCTION public.attempts_read_1(tenant uuid, attempt uuid) RETURNS TABLE(tenant_id uuid, subscription_id uuid, id uuid, event_id uuid, event_type text, attempt_number integer, trigger text, outcome text, status_code smallint, error_message text, response_body bytea, remote_address text, duration_ms integer, created_at timestamp with time zone, detail text)
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET enable_seqscan TO 'off'
    SET enable_indexscan TO 'off'
    SET enable_indexonlyscan TO 'off'
    SET max_parallel_workers_per_gather TO '0'
    SET jit TO 'off'
    AS $$
#variable_conflict use_column
begin
    return query
    select
        a.tenant_id,
        a.subscription_id,
        a.id,
        a.event_id,
        a.event_type,
        a.attempt_number,
        a.trigger,
        a.outcome,
        a.status_code,
        a.error_message,
        a.response_body,
        host(a.remote_address),
        coalesce(a.duration_ms, 0),
        a.created_at,
        a.detail::text
    from attempts as a
    where a.id = attempt
        -- As text, so that the plan never walks the keys of a tenant.
        and a.tenant_id::text = tenant::text;
end
$$;
CREATE FUNCTION public.attempts_search_1(tenant uuid, of_subscriptions uuid[], of_events uuid[], types text[], outcomes text[], succeeded boolean, codes integer[], classes integer[], from_id uuid, before_id uuid, most_rows bigint, most_examined bigint, most_ms double precision) RETURNS TABLE(is_found boolean, tenant_id uuid, subscription_id uuid, id uuid)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
    most_of_window bigint;
    -- As many as a process may have in flight, and be lost with it, and more.
    most_of_moment constant bigint := 1000000;
    began_at constant timestamptz := clock_timestamp();
    deadline timestamptz;
    top_id uuid := before_id;
    lower_id uuid := from_id;
    sub constant uuid := case when cardinality(of_subscriptions) = 1 then of_subscriptions[1] end;
    has_windows boolean := true;
    logs uuid[] := of_subscriptions;
    listed_tenants uuid[];
    listed_subscriptions uuid[];
    listed_ids uuid[];
    owner constant uuid := coalesce(tenant, (select x.tenant_id from subscriptions as x where x.id = sub));
    width double precision := 10;
    candidates refcursor;
    r record;
    last_id uuid;
    examined bigint := 0;
    found_rows bigint := 0;
    is_cut boolean := false;
begin
    if of_events is not null then
        select
            coalesce(array_agg(g.tenant_id), '{}'),
            coalesce(array_agg(g.subscription_id), '{}'),
            coalesce(array_agg(g.id), '{}')
        into listed_tenants, listed_subscriptions, listed_ids
        from (
            select a.tenant_id, a.subscription_id, a.id
            from unnest(of_events) as e (id)
            cross join lateral (
                select x.tenant_id, x.subscription_id, x.id
                from attempts as x
                where x.event_id = e.id
                    and x.id >= uuid_v7_floor(uuid_v7_time(e.id) - interval '10 minutes')
            ) as a
            limit most_examined + 1
        ) as g;
        has_windows := cardinality(listed_ids) > most_examined;
    end if;
    if has_windows and tenant is not null and logs is null then
        logs := array(select s.id from subscriptions as s where s.tenant_id = tenant limit 5001);
        logs := case when cardinality(logs) <= 5000 then logs end;
    end if;
    has_windows := has_windows and sub is null;
    -- A page needs few attempts, and a window of all that turns out to have too many was read for nothing.
    most_of_window := case when logs is null then least(most_examined, 4000) else most_examined end;
    loop
        if has_windows then
            select w.tenant_ids, w.subscription_ids, w.ids, w.lower_id, w.width
            into listed_tenants, listed_subscriptions, listed_ids, lower_id, width
            from attempts_window_1(logs, from_id, top_id, width, most_of_window) as w;
            -- So many of one millisecond.
            if cardinality(listed_ids) > most_of_window then
                select w.tenant_ids, w.subscription_ids, w.ids, w.lower_id, w.width
                into listed_tenants, listed_subscriptions, listed_ids, lower_id, width
                from attempts_window_1(logs, from_id, top_id, width, most_of_moment) as w;
            end if;
        end if;
        candidates := case
            when has_windows or cardinality(listed_ids) <= most_examined
                then attempts_walk_listed_1(listed_tenants, listed_subscriptions, listed_ids, from_id, top_id)
            else attempts_walk_1(owner, sub, from_id, top_id)
        end;
        loop
            fetch candidates into r;
            exit when not found;
            examined := examined + 1;
            -- Plans are made, and times without attempts are crossed, before the first row: that leaves a third at least.
            deadline := coalesce(
                deadline,
                greatest(
                    began_at + make_interval(secs => most_ms / 1000),
                    clock_timestamp() + make_interval(secs => most_ms / 3000)
                )
            );
            last_id := r.id;
            if (tenant is null or r.tenant_id = tenant)
                and (of_subscriptions is null or r.subscription_id = any(of_subscriptions))
                and (of_events is null or r.event_id = any(of_events))
                and (types is null or r.event_type = any(types))
                and (outcomes is null or r.outcome = any(outcomes))
                and (succeeded is null or (r.outcome = 'delivered') = succeeded)
                and (
                    coalesce(codes, classes) is null
                    or r.status_code = any(codes)
                    or r.status_code / 100 = any(classes)
                ) then
                is_found := true;
                tenant_id := r.tenant_id;
                subscription_id := r.subscription_id;
                id := r.id;
                found_rows := found_rows + 1;
                return next;
            end if;
            is_cut := examined = most_examined or clock_timestamp() > deadline;
            exit when is_cut or found_rows = most_rows;
        end loop;
        close candidates;
        if not is_cut and lower_id > from_id then
            last_id := lower_id;
            -- Windows grow until one has attempts: there are few without.
            is_cut := coalesce(clock_timestamp() > deadline, false);
        end if;
        exit when is_cut or found_rows = most_rows or lower_id <= from_id;
        top_id := lower_id;
    end loop;
    if is_cut and found_rows < most_rows then
        is_found := false;
        tenant_id := null;
        subscription_id := null;
        id := last_id;
        return next;
    end if;
end
$$;
CREATE FUNCTION public.attempts_walk_1(tenant uuid, sub uuid, from_id uuid, top_id uuid, OUT candidates refcursor) RETURNS refcursor
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
begin
    open candidates for
    select a.tenant_id, a.subscription_id, a.id, a.event_id, a.event_type, a.outcome, a.status_code
    from attempts as a
    where a.tenant_id = tenant
        and a.subscription_id = sub
        and a.id >= from_id
        and a.id < top_id
    order by a.id desc;
end
$$;
CREATE FUNCTION public.attempts_walk_listed_1(tenant_ids uuid[], subscription_ids uuid[], attempt_ids uuid[], from_id uuid, top_id uuid, OUT candidates refcursor) RETURNS refcursor
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
begin
    open candidates for
    select l.tenant_id, l.subscription_id, l.id, a.event_id, a.event_type, a.outcome, a.status_code
    from (
        select x.tenant_id, x.subscription_id, x.id
        from unnest(tenant_ids, subscription_ids, attempt_ids) as x (tenant_id, subscription_id, id)
        where x.id >= from_id
            and x.id < top_id
        order by x.id desc
    ) as l
    cross join lateral (
        select x.event_id, x.event_type, x.outcome, x.status_code
        from attempts as x
        where x.tenant_id = l.tenant_id
            and x.subscription_id = l.subscription_id
            and x.id = l.id
        limit 1
    ) as a
    order by l.id desc;
end
$$;
CREATE FUNCTION public.attempts_window_1(of_subscriptions uuid[], from_id uuid, top_id uuid, INOUT width double precision, most_attempts bigint, OUT tenant_ids uuid[], OUT subscription_ids uuid[], OUT ids uuid[], OUT lower_id uuid) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'on'
    SET enable_sort TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
    ends constant timestamptz := least(uuid_v7_time(top_id), now() + interval '1 minute');
    is_shorter boolean := false;
begin
    loop
        lower_id := greatest(uuid_v7_floor(greatest(ends - make_interval(secs => width), 'epoch')), from_id);
        if of_subscriptions is null then
            select
                coalesce(array_agg(w.tenant_id), '{}'),
                coalesce(array_agg(w.subscription_id), '{}'),
                coalesce(array_agg(w.id), '{}')
            into tenant_ids, subscription_ids, ids
            from (
                select a.tenant_id, a.subscription_id, a.id
                from attempts as a
                where a.id >= lower_id
                    and a.id < top_id
                limit most_attempts + 1
            ) as w;
        else
            select
                coalesce(array_agg(w.tenant_id), '{}'),
                coalesce(array_agg(w.subscription_id), '{}'),
                coalesce(array_agg(w.id), '{}')
            into tenant_ids, subscription_ids, ids
            from (
                select s.tenant_id, s.id as subscription_id, a.id
                from unnest(of_subscriptions) as u (id)
                cross join lateral (
                    select x.tenant_id, x.id
                    from subscriptions as x
                    where x.id = u.id
                    limit 1
                ) as s
                cross join lateral (
                    select x.id
                    from attempts as x
                    where x.tenant_id = s.tenant_id
                        and x.subscription_id = s.id
                        and x.id >= lower_id
                        and x.id < top_id
                    order by x.id desc
                    limit most_attempts + 1
                ) as a
                limit most_attempts + 1
            ) as w;
        end if;
        exit when cardinality(ids) <= most_attempts or width < 0.002;
        width := width / 4;
        is_shorter := true;
    end loop;
    -- What made it shorter comes next.
    width := width * case when cardinality(ids) < most_attempts / 16 and not is_shorter then 8 else 1 end;
end
$$;
CREATE FUNCTION public.audit_api_key() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public'
    AS $$
declare
    kind constant text := case when new.capabilities is null then 'key' else 'portal_session' end;
begin
    if tg_op = 'INSERT' then
        perform write_audit(new.changed_by, new.tenant_id, 'created', kind, new.id, null, api_key_document(new));
    else
        perform write_audit(
            changed_by_whom(new.changed_by, old.changed_by), new.tenant_id, 'revoked', kind, new.id,
            api_key_document(old), null
        );
    end if;
    return null;
end
$$;
CREATE FUNCTION public.audit_event_type() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public'
    AS $$
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
CREATE FUNCTION public.audit_list_1(tenant uuid, object uuid, actor uuid, wanted_actions text[], from_id uuid, before_id uuid, most_rows bigint, most_examined bigint) RETURNS TABLE(examined_to uuid, id uuid, object_id uuid)
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    AS $$
declare
    ids uuid[];
    found uuid[];
    objects uuid[];
begin
    if object is not null then
        select
            array_agg(x.id),
            array_agg(x.id) filter (where x.is_found),
            array_agg(x.object_id) filter (where x.is_found)
        into ids, found, objects
        from (
            select
                a.id,
                a.object_id,
                (tenant is null or a.tenant_id = tenant)
                and (actor is null or a.actor_key = actor)
                and (wanted_actions is null or a.action = any(wanted_actions)) as is_found
            from audit as a
            where (a.object_id, a.id) >= (object, from_id)
                and (a.object_id, a.id) < (object, before_id)
            order by a.object_id desc, a.id desc
            limit most_examined
        ) as x;
    elsif actor is not null then
        select
            array_agg(x.id),
            array_agg(x.id) filter (where x.is_found),
            array_agg(x.object_id) filter (where x.is_found)
        into ids, found, objects
        from (
            select
                a.id,
                a.object_id,
                (tenant is null or a.tenant_id = tenant)
                and (wanted_actions is null or a.action = any(wanted_actions)) as is_found
            from audit as a
            where (a.actor_key, a.id) >= (actor, from_id)
                and (a.actor_key, a.id) < (actor, before_id)
                and a.actor_key is not null
            order by a.actor_key desc, a.id desc
            limit most_examined
        ) as x;
    elsif tenant is not null then
        select
            array_agg(x.id),
            array_agg(x.id) filter (where x.is_found),
            array_agg(x.object_id) filter (where x.is_found)
        into ids, found, objects
        from (
            select a.id, a.object_id, wanted_actions is null or a.action = any(wanted_actions) as is_found
            from audit as a
            where (a.tenant_id, a.id) >= (tenant, from_id)
                and (a.tenant_id, a.id) < (tenant, before_id)
            order by a.tenant_id desc, a.id desc
            limit most_examined
        ) as x;
    else
        select
            array_agg(x.id),
            array_agg(x.id) filter (where x.is_found),
            array_agg(x.object_id) filter (where x.is_found)
        into ids, found, objects
        from (
            select a.id, a.object_id, wanted_actions is null or a.action = any(wanted_actions) as is_found
            from audit as a
            where a.id >= from_id
                and a.id < before_id
            order by a.id desc
            limit most_examined
        ) as x;
    end if;
    return query
    select case when cardinality(ids) = most_examined then ids[most_examined] end, f.id, f.object_id
    from (values (1)) as one (row)
    left join unnest(found[:most_rows], objects[:most_rows]) as f (id, object_id) on true
    where cardinality(ids) = most_examined
        or f.id is not null;
end
$$;
CREATE FUNCTION public.audit_replay() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public'
    AS $$
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
CREATE FUNCTION public.audit_subscription() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public'
    AS $$
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
CREATE FUNCTION public.audit_tenant() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public'
    AS $$
begin
    if tg_op = 'INSERT' then
        perform write_audit(new.changed_by, new.id, 'created', 'tenant', new.id, null, tenant_document(new));
    elsif new.deleted_at is not null then
        perform write_audit(
            changed_by_whom(new.changed_by, old.changed_by), new.id, 'deleted', 'tenant', new.id,
            tenant_document(old), null
        );
    else
        perform write_audit(
            changed_by_whom(new.changed_by, old.changed_by), new.id, 'updated', 'tenant', new.id,
            tenant_document(old), tenant_document(new)
        );
    end if;
    return null;
end
$$;
CREATE FUNCTION public.by_whom(actor jsonb, moment timestamp with time zone) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path TO 'public'
    RETURN ((CASE WHEN ((actor ->> 'kind'::text) = 'key'::text) THEN ('by key '::text || (actor ->> 'key'::text)) WHEN ((actor ->> 'kind'::text) = 'portal'::text) THEN ('in the portal session '::text || (actor ->> 'key'::text)) WHEN ((actor ->> 'kind'::text) = 'anonymous'::text) THEN 'by a request without a key'::text WHEN ((actor ->> 'kind'::text) = 'command'::text) THEN 'at the command line'::text ELSE ('by '::text || COALESCE((actor ->> 'kind'::text), 'postrider'::text)) END || ' at '::text) || to_char((moment AT TIME ZONE 'UTC'::text), 'YYYY-MM-DD"T"HH24:MI:SS"Z"'::text));
CREATE FUNCTION public.changed_by_whom(written jsonb, stood jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public'
    RETURN CASE WHEN ((written IS NOT NULL) AND (written = stood)) THEN '{"kind": "sql"}'::jsonb ELSE written END;
CREATE FUNCTION public.changed_entries(document jsonb, other jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public'
    AS $$
begin
    return (
        select jsonb_object_agg(e.key, e.value)
        from jsonb_each(document) as e (key, value)
        where other is null
            or other -> e.key is distinct from e.value
    );
end
$$;
CREATE FUNCTION public.copy_breaker() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public'
    AS $$
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
CREATE FUNCTION public.count_failures() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
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
CREATE FUNCTION public.deliveries_cancel_1(tenant uuid, event uuid, subscription uuid, most_rows bigint, actor jsonb, OUT cancelled bigint, OUT sending bigint, OUT is_known boolean, OUT group_subscriptions uuid[], OUT group_keys text[]) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public'
    AS $$
declare
    leased uuid[];
    waiting uuid[];
    counted integer[];
    keys text[];
begin
    perform 1
    from events as e
    where e.tenant_id = tenant
        and e.id = event;
    if not found then
        return;
    end if;
    is_known := subscription is null or exists (
        select 1
        from all_deliveries as a
        where a.tenant_id = tenant
            and a.event_id = event
            and a.subscription_id = subscription
    );
    with pending as materialized (
        select x.subscription_id, x.attempts, x.ordering_key, x.lease is not null as is_leased
        from deliveries as x
        where x.tenant_id = tenant
            and x.event_id = event
            and (subscription is null or x.subscription_id = subscription)
            and (x.lease is null or x.expires_at is distinct from '-infinity')
        order by x.subscription_id
        limit most_rows
        for update
    )
    select
        coalesce(array_agg(p.subscription_id) filter (where p.is_leased), '{}'),
        coalesce(array_agg(p.subscription_id) filter (where not p.is_leased), '{}'),
        array_agg(p.attempts) filter (where not p.is_leased),
        array_agg(p.ordering_key) filter (where not p.is_leased)
    into leased, waiting, counted, keys
    from pending as p;
    update deliveries as d
    set expires_at = '-infinity'
    where d.event_id = event
        and d.subscription_id = any(leased);
    get diagnostics sending = row_count;
    delete from deliveries as d
    where d.event_id = event
        and d.subscription_id = any(waiting);
    get diagnostics cancelled = row_count;
    perform deliveries_end_1(
        array_agg(tenant),
        array_agg(event),
        array_agg(w.subscription_id),
        array_agg('cancelled'::text),
        array_agg('requested'::text),
        array_agg(w.attempts)
    )
    from unnest(waiting, counted) as w (subscription_id, attempts);
    select
        coalesce(array_agg(w.subscription_id), '{}'),
        coalesce(array_agg(w.ordering_key), '{}')
    into group_subscriptions, group_keys
    from unnest(waiting, keys) as w (subscription_id, ordering_key)
    where w.ordering_key is not null;
    if cancelled + sending > 0 then
        perform write_audit(
            actor, tenant, 'cancelled', 'event', event, null,
            jsonb_build_object('deliveries', cancelled, 'sending', sending, 'subscription_id', subscription)
        );
    end if;
end
$$;
CREATE FUNCTION public.deliveries_cancel_held_1(tenant uuid, subscription uuid, most_rows bigint, actor jsonb, OUT cancelled bigint, OUT group_subscriptions uuid[], OUT group_keys text[]) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET jit TO 'off'
    AS $$
declare
    at constant timestamptz := now();
    lapsed_at constant timestamptz := at - interval '5 seconds';
    held_until timestamptz;
    tids tid[];
    events uuid[];
    counted integer[];
    causes text[];
    keys text[];
    due_times timestamptz[];
    lapsed boolean[];
begin
    cancelled := 0;
    group_subscriptions := '{}';
    group_keys := '{}';
    select deliveries_held_until_1(s.is_active, s.breaker, s.rate_limit, s.max_in_flight, at)
    into held_until
    from subscriptions as s
    where s.tenant_id = tenant
        and s.id = subscription;
    if not found then
        return;
    end if;
    with waiting as materialized (
        select
            d.ctid as tid, d.event_id, d.attempts, d.trigger, d.ordering_key, d.next_attempt_at as was_due,
            d.lease is not null as is_lapsed
        from deliveries as d
        where uuid_hash_extended(d.subscription_id, 0) = uuid_hash_extended(subscription, 0)
            and d.subscription_id = subscription
            and d.next_attempt_at < 'infinity'
            and d.next_attempt_at <= held_until
            and (d.lease is null or d.next_attempt_at <= lapsed_at)
        order by d.next_attempt_at
        limit most_rows
        for update skip locked
    ),
    ordered as materialized (
        select d.ctid as tid, d.event_id, d.attempts, d.trigger, d.ordering_key
        from deliveries as d
        where d.subscription_id = subscription
            and d.ordering_key is not null
            and d.next_attempt_at = 'infinity'
        limit most_rows
        for update skip locked
    )
    select
        array_agg(h.tid),
        array_agg(h.event_id),
        array_agg(h.attempts),
        array_agg(h.trigger),
        array_agg(h.ordering_key),
        array_agg(h.was_due),
        array_agg(h.is_lapsed)
    into tids, events, counted, causes, keys, due_times, lapsed
    from (
        select w.tid, w.event_id, w.attempts, w.trigger, w.ordering_key, w.was_due, w.is_lapsed
        from waiting as w
        union all
        select o.tid, o.event_id, o.attempts, o.trigger, o.ordering_key, at, false
        from ordered as o
    ) as h;
    if tids is null then
        return;
    end if;
    delete from deliveries as d
    where d.ctid = any(tids);
    get diagnostics cancelled = row_count;
    if true = any(lapsed) then
        perform attempts_log_lost_1(
            array_agg(tenant),
            array_agg(l.event_id),
            array_agg(subscription),
            array_agg(l.attempts),
            array_agg(l.was_due),
            array_agg(l.trigger)
        )
        from unnest(events, counted, due_times, lapsed, causes) as l (event_id, attempts, was_due, is_lapsed, trigger)
        where l.is_lapsed;
    end if;
    perform deliveries_end_1(
        array_agg(tenant),
        array_agg(e.event_id),
        array_agg(subscription),
        array_agg('cancelled'::text),
        array_agg('requested'::text),
        array_agg(e.attempts)
    )
    from unnest(events, counted) as e (event_id, attempts);
    select coalesce(array_agg(subscription), '{}'), coalesce(array_agg(k.ordering_key), '{}')
    into group_subscriptions, group_keys
    from (
        select distinct u.ordering_key
        from unnest(keys) as u (ordering_key)
        where u.ordering_key is not null
    ) as k;
    perform write_audit(
        actor, tenant, 'held_cancelled', 'subscription', subscription, null, jsonb_build_object('deliveries', cancelled)
    );
end
$$;
CREATE FUNCTION public.deliveries_end_1(tenant_ids uuid[], event_ids uuid[], subscription_ids uuid[], statuses text[], reasons text[], attempts_made integer[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public'
    AS $$
declare
    at constant timestamptz := now();
begin
    insert into undelivered (tenant_id, event_id, subscription_id, status, reason, attempts, ended_at)
    select b.tenant_id, b.event_id, b.subscription_id, b.status, b.reason, b.attempts, at
    from unnest(tenant_ids, event_ids, subscription_ids, statuses, reasons, attempts_made)
        as b (tenant_id, event_id, subscription_id, status, reason, attempts)
    order by b.event_id, b.subscription_id
    on conflict on constraint undelivered_pkey do update
    set
        status = excluded.status,
        reason = excluded.reason,
        attempts = excluded.attempts,
        ended_at = excluded.ended_at;
end
$$;
CREATE FUNCTION public.deliveries_enqueue_1(tenant_ids uuid[], event_ids uuid[], payload_sizes integer[], ordering_keys text[], not_before timestamp with time zone[], expire_at timestamp with time zone[], event_numbers integer[], subscription_ids uuid[], lease_seconds double precision[], grouped boolean[], attempts_before integer[], token uuid, requeued_by text) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'public'
    AS $$
declare
    at constant timestamptz := now();
    written bigint;
    group_size bigint;
    last_position bigint;
begin
    if attempts_before is not null then
        insert into deliveries (
            tenant_id, event_id, subscription_id, next_attempt_at, attempts, free_attempts, payload_bytes, expires_at,
            trigger
        )
        select
            tenant_ids[d.event_number],
            event_ids[d.event_number],
            d.subscription_id,
            at,
            d.attempts,
            d.attempts,
            payload_sizes[d.event_number],
            expire_at[d.event_number],
            requeued_by
        from unnest(event_numbers, subscription_ids, attempts_before) as d (event_number, subscription_id, attempts)
        order by event_ids[d.event_number], d.subscription_id
        on conflict on constraint deliveries_pkey do nothing;
        get diagnostics written = row_count;
        return written;
    end if;
    insert into deliveries (
        tenant_id, event_id, subscription_id, next_attempt_at, lease, attempts, payload_bytes, expires_at
    )
    select
        tenant_ids[d.event_number],
        event_ids[d.event_number],
        d.subscription_id,
        case
            when d.seconds is not null then at + make_interval(secs => d.seconds)
            else greatest(at, not_before[d.event_number])
        end,
        case when d.seconds is not null then token end,
        case when d.seconds is not null then 1 else 0 end,
        payload_sizes[d.event_number],
        expire_at[d.event_number]
    from unnest(event_numbers, subscription_ids, lease_seconds, grouped)
        as d (event_number, subscription_id, seconds, is_grouped)
    where event_ids[d.event_number] is not null
        and d.is_grouped is not true;
    get diagnostics written = row_count;
    select count(*)
    into group_size
    from unnest(event_numbers, grouped) as d (event_number, is_grouped)
    where d.is_grouped
        and event_ids[d.event_number] is not null;
    if group_size > 0 then
        insert into ordering_counters as c (tenant_id, position)
        values (tenant_ids[1], group_size)
        on conflict on constraint ordering_counters_pkey do update
        set position = c.position + excluded.position
        returning c.position into last_position;
        insert into deliveries (
            tenant_id, event_id, subscription_id, next_attempt_at, payload_bytes, expires_at, ordering_key, position
        )
        select
            tenant_ids[d.event_number],
            event_ids[d.event_number],
            d.subscription_id,
            'infinity',
            payload_sizes[d.event_number],
            expire_at[d.event_number],
            ordering_keys[d.event_number],
            last_position - group_size + row_number() over (order by d.number)
        from unnest(event_numbers, subscription_ids, grouped) with ordinality
            as d (event_number, subscription_id, is_grouped, number)
        where d.is_grouped
            and event_ids[d.event_number] is not null;
    end if;
    return written + group_size;
end
$$;
CREATE FUNCTION public.deliveries_expire_1(expired_before uuid, after_id uuid, most_rows bigint, OUT ended bigint, OUT looked_at bigint, OUT reached uuid) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET jit TO 'off'
    AS $$
declare
    at constant timestamptz := now();
    lapsed_at constant timestamptz := at - interval '5 seconds';
    tids tid[];
    tenants uuid[];
    events uuid[];
    subscriptions uuid[];
    reasons text[];
    counted integer[];
    causes text[];
    due_times timestamptz[];
    lapsed boolean[];
begin
    ended := 0;
    looked_at := 0;
    if not pg_try_advisory_xact_lock(hashtext(current_schema() || '.expire')) then
        looked_at := null;
        return;
    end if;
    with old as materialized (
        select
            d.event_id,
            d.ctid as tid,
            d.expires_at is null and (d.lease is null or d.next_attempt_at <= lapsed_at) as is_over
        from deliveries as d
        where d.event_id > after_id
            and d.event_id < expired_before
        order by d.event_id
        limit most_rows
    ),
    over as materialized (
        (
            select x.ctid as tid
            from deliveries as x
            where x.expires_at <= at
                and x.expires_at is not null
                and (x.lease is null or x.next_attempt_at <= lapsed_at)
            order by x.expires_at
            limit most_rows
        )
        union all
        select old.tid
        from old
        where old.is_over
    ),
    locked as materialized (
        select
            x.ctid as tid, x.tenant_id, x.event_id, x.subscription_id, x.expires_at, x.attempts, x.trigger,
            x.next_attempt_at, x.lease is not null as is_lapsed
        from deliveries as x
        where x.ctid = any(array(select over.tid from over))
            and (x.lease is null or x.next_attempt_at <= lapsed_at)
        for update skip locked
    )
    select
        array_agg(l.tid),
        array_agg(l.tenant_id),
        array_agg(l.event_id),
        array_agg(l.subscription_id),
        array_agg(case
            when l.expires_at = '-infinity' then 'requested'
            when l.expires_at is null then 'lifetime'
            else 'expires_at'
        end),
        array_agg(l.attempts),
        array_agg(l.trigger),
        array_agg(l.next_attempt_at),
        array_agg(l.is_lapsed),
        (select count(*) from old),
        (select o.event_id from old as o order by o.event_id desc limit 1)
    into tids, tenants, events, subscriptions, reasons, counted, causes, due_times, lapsed, looked_at, reached
    from locked as l;
    if looked_at < most_rows then
        reached := null;
    end if;
    if tids is null then
        return;
    end if;
    delete from deliveries as d
    where d.ctid = any(tids);
    get diagnostics ended = row_count;
    if true = any(lapsed) then
        perform attempts_log_lost_1(
            array_agg(l.tenant_id),
            array_agg(l.event_id),
            array_agg(l.subscription_id),
            array_agg(l.attempts),
            array_agg(l.was_due),
            array_agg(l.trigger)
        )
        from unnest(tenants, events, subscriptions, counted, due_times, lapsed, causes)
            as l (tenant_id, event_id, subscription_id, attempts, was_due, is_lapsed, trigger)
        where l.is_lapsed;
    end if;
    perform deliveries_end_1(
        array_agg(o.tenant_id),
        array_agg(o.event_id),
        array_agg(o.subscription_id),
        array_agg(case o.reason when 'requested' then 'cancelled' else 'expired' end),
        array_agg(o.reason),
        array_agg(o.attempts)
    )
    from unnest(tenants, events, subscriptions, reasons, counted)
        as o (tenant_id, event_id, subscription_id, reason, attempts);
end
$$;
CREATE FUNCTION public.deliveries_gather_1(tenant uuid, of_subscriptions uuid[], with_attempts boolean, first_attempt uuid, most_keys bigint, most_subscriptions bigint, OUT event_ids uuid[], OUT subscription_ids uuid[]) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET jit TO 'off'
    AS $$
begin
    if of_subscriptions is null then
        of_subscriptions := array(
            select s.id
            from subscriptions as s
            where s.tenant_id = tenant
            limit most_subscriptions + 1
        );
        if cardinality(of_subscriptions) > most_subscriptions then
            return;
        end if;
    end if;
    select coalesce(array_agg(g.event_id), '{}'), coalesce(array_agg(g.subscription_id), '{}')
    into event_ids, subscription_ids
    from (
        select k.event_id, s.id as subscription_id
        from unnest(of_subscriptions) as s (id)
        cross join lateral (
            select d.event_id
            from deliveries as d
            where uuid_hash_extended(d.subscription_id, 0) = uuid_hash_extended(s.id, 0)
                and d.subscription_id = s.id
                and d.next_attempt_at < 'infinity'
            union all
            select d.event_id
            from deliveries as d
            where d.subscription_id = s.id
                and d.ordering_key is not null
                and d.next_attempt_at = 'infinity'
            union all
            select a.event_id
            from attempts as a
            where with_attempts
                and a.tenant_id = tenant
                and a.subscription_id = s.id
                and a.id >= first_attempt
        ) as k
        limit most_keys + 1
    ) as g;
    if cardinality(event_ids) > most_keys then
        event_ids := null;
        subscription_ids := null;
    end if;
end
$$;
CREATE FUNCTION public.deliveries_held_until_1(is_active boolean, breaker text, rate_limit integer, max_in_flight integer, at timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (NOT is_active) THEN 'infinity'::timestamp with time zone WHEN (breaker IS NOT NULL) THEN at WHEN ((rate_limit IS NOT NULL) OR (max_in_flight IS NOT NULL)) THEN (at - '00:00:01'::interval) ELSE '-infinity'::timestamp with time zone END;
CREATE FUNCTION public.deliveries_pick_1(tenant uuid, selection jsonb, before_event uuid, before_subscription uuid, most_rows bigint, most_examined bigint, most_ms double precision) RETURNS TABLE(examined_event uuid, examined_subscription uuid, event_id uuid, subscription_id uuid)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public'
    AS $$
begin
    if selection -> 'status' is null then
        return query
        select e.examined_event, e.examined_subscription, e.event_id, e.subscription_id
        from events_pick_1(
            tenant,
            selected_words(selection, 'event_type'),
            (selection ->> 'since')::timestamptz,
            (selection ->> 'until')::timestamptz,
            before_event,
            most_rows,
            most_examined
        ) as e;
        return;
    end if;
    return query
    select s.examined_event, s.examined_subscription, s.event_id, s.subscription_id
    from deliveries_search_1(
        tenant,
        selected_words(selection, 'subscription_id')::uuid[],
        selected_words(selection, 'status'),
        selected_words(selection, 'reason'),
        selected_words(selection, 'event_type'),
        (selection ->> 'since')::timestamptz,
        (selection ->> 'until')::timestamptz,
        before_event,
        before_subscription,
        most_rows,
        most_examined,
        most_ms
    ) as s;
end
$$;
CREATE FUNCTION public.deliveries_record_1(tenant_ids uuid[], event_ids uuid[], subscription_ids uuid[], tokens uuid[], steps text[], delays double precision[], attempt_changes integer[], free_changes integer[], statuses text[], reasons text[], versions bigint[], disable_reasons text[], delivery_numbers integer[], attempt_ids uuid[], event_types text[], attempt_numbers integer[], outcomes text[], status_codes smallint[], messages text[], bodies bytea[], remotes text[], durations integer[], times timestamp with time zone[], triggers text[], details text[], next_triggers text[], OUT recorded integer, OUT disabled uuid[], OUT failing uuid[]) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
    at constant timestamptz := now();
    stamp constant bigint := extract(epoch from at) * 1000000;
    tids tid[];
    counted integer[];
    cancelled boolean[];
    moved integer := 0;
    ended integer;
begin
    disabled := '{}';
    select
        array_agg(d.tid order by i.number),
        array_agg(d.attempts order by i.number),
        array_agg(d.is_cancelled order by i.number),
        count(d.tid)
    into tids, counted, cancelled, recorded
    from unnest(event_ids, subscription_ids, tokens) with ordinality as i (event_id, subscription_id, token, number)
    left join lateral (
        select x.ctid as tid, x.attempts, x.expires_at is not distinct from '-infinity' as is_cancelled
        from deliveries as x
        where x.event_id = i.event_id
            and x.subscription_id = i.subscription_id
            and x.lease = i.token
        for update
    ) as d on true;
    insert into attempts (
        tenant_id, subscription_id, id, event_id, event_type, attempt_number, outcome, status_code, error_message,
        response_body, remote_address, duration_ms, created_at, written_at, trigger, detail
    )
    select
        tenant_ids[a.delivery],
        subscription_ids[a.delivery],
        a.id,
        event_ids[a.delivery],
        a.event_type,
        a.number,
        a.outcome,
        a.status_code,
        a.message,
        a.body,
        a.remote::inet,
        a.duration,
        a.began,
        at,
        a.trigger,
        a.detail::jsonb
    from unnest(
        delivery_numbers, attempt_ids, event_types, attempt_numbers, outcomes, status_codes, messages, bodies, remotes,
        durations, times, triggers, details
    ) as a (
        delivery, id, event_type, number, outcome, status_code, message, body, remote, duration, began, trigger, detail
    )
    where tids[a.delivery] is not null;
    delete from deliveries as d
    where d.ctid = any(array(
        select i.tid
        from unnest(tids, steps, cancelled) as i (tid, step, is_cancelled)
        where i.tid is not null
            and (i.step in ('done', 'give_up') or i.is_cancelled)
    ));
    get diagnostics ended = row_count;
    if ended < recorded then
        update deliveries as d
        set
            -- A delivery that expires before its next attempt is due at its expiry.
            next_attempt_at = greatest(at, least(at + make_interval(secs => i.delay), d.expires_at)),
            lease = null,
            attempts = d.attempts + i.attempt_change,
            free_attempts = d.free_attempts + i.free_change,
            -- What was not sent is still to be sent for the same reason.
            trigger = case when i.attempt_change < 0 then d.trigger else i.next_trigger end
        from unnest(tids, steps, delays, attempt_changes, free_changes, cancelled, next_triggers)
            as i (tid, step, delay, attempt_change, free_change, is_cancelled, next_trigger)
        where d.ctid = i.tid
            and i.step in ('retry', 'hand_back')
            and not i.is_cancelled;
        get diagnostics moved = row_count;
    end if;
    if ended + moved <> recorded then
        raise 'a locked delivery moved' using errcode = 'serialization_failure';
    end if;
    if exists (
        select 1
        from unnest(tids, steps, cancelled) as i (tid, step, is_cancelled)
        where i.step = 'give_up'
            or i.is_cancelled
    ) then
        perform deliveries_end_1(
            array_agg(i.tenant_id),
            array_agg(i.event_id),
            array_agg(i.subscription_id),
            array_agg(case when i.is_cancelled then 'cancelled' else i.status end),
            array_agg(case when i.is_cancelled then 'requested' else i.reason end),
            array_agg(i.counted + i.attempt_change)
        )
        from unnest(
            tenant_ids, event_ids, subscription_ids, tids, steps, statuses, reasons, counted, attempt_changes, cancelled
        ) as i (
            tenant_id, event_id, subscription_id, tid, step, status, reason, counted, attempt_change, is_cancelled
        )
        where i.tid is not null
            and i.step <> 'done'
            and (i.step = 'give_up' or i.is_cancelled);
    end if;
    if cardinality(array_remove(disable_reasons, null)) > 0 then
        with unwanted as materialized (
            select s.tid, min(i.disable_reason) as reason
            from unnest(tids, tenant_ids, subscription_ids, versions, disable_reasons)
                as i (tid, tenant_id, subscription_id, version, disable_reason)
            cross join lateral (
                select x.ctid as tid
                from subscriptions as x
                where x.tenant_id = i.tenant_id
                    and x.id = i.subscription_id
                    and x.version = i.version
                    and x.is_active
                    and x.deleted_at is null
                limit 1
            ) as s
            where i.tid is not null
                and i.disable_reason is not null
            group by s.tid
        ),
        turned_off as (
            update subscriptions as s
            set
                is_active = false,
                disabled_reason = u.reason,
                changed_by = null,
                version = greatest(s.version + 1, stamp),
                updated_at = at
            from unwanted as u
            where s.ctid = u.tid
                and s.is_active
            returning s.id
        )
        select coalesce(array_agg(t.id), '{}')
        into disabled
        from turned_off as t;
    end if;
    failing := array(
        select h.subscription_id
        from subscription_health as h
        where h.subscription_id = any(array(
            select i.subscription_id
            from unnest(tids, subscription_ids, steps) as i (tid, subscription_id, step)
            where i.tid is not null
                and i.step = 'done'
            group by i.subscription_id
        ))
    );
end
$$;
CREATE FUNCTION public.deliveries_requeue_1(tenant uuid, event_ids uuid[], subscription_ids uuid[], lifetime interval, requeued_by text) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
    at constant timestamptz := now();
    found_events uuid[];
    found_subscriptions uuid[];
    sizes integer[];
    attempts_before integer[];
    requeued bigint := 0;
begin
    select
        array_agg(a.event_id order by a.number),
        array_agg(a.subscription_id order by a.number),
        array_agg(e.payload_bytes order by a.number),
        array_agg(coalesce(ended.attempts, made.attempts, 0) order by a.number)
    into found_events, found_subscriptions, sizes, attempts_before
    from unnest(event_ids, subscription_ids) with ordinality as a (event_id, subscription_id, number)
    cross join lateral (
        select octet_length(x.payload) as payload_bytes
        from events as x
        where x.tenant_id = tenant
            and x.id = a.event_id
        limit 1
    ) as e
    cross join lateral (
        select 1
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
    ) as made;
    if found_events is not null then
        requeued := deliveries_enqueue_1(
            array_fill(tenant, array[cardinality(found_events)]),
            found_events,
            sizes,
            null,
            null,
            array_fill(at + lifetime, array[cardinality(found_events)]),
            array(select generate_series(1, cardinality(found_events))),
            found_subscriptions,
            null,
            null,
            attempts_before,
            null,
            requeued_by
        );
    end if;
    -- Separate, because it also finds those that another statement requeued.
    delete from undelivered as u
    where u.ctid = any(array(
        select ended.tid
        from unnest(event_ids, subscription_ids) as a (event_id, subscription_id)
        cross join lateral (
            select 1
            from deliveries as x
            where x.event_id = a.event_id
                and x.subscription_id = a.subscription_id
            limit 1
        ) as d
        cross join lateral (
            select x.ctid as tid
            from undelivered as x
            where x.tenant_id = tenant
                and x.event_id = a.event_id
                and x.subscription_id = a.subscription_id
            limit 1
        ) as ended
    ));
    return requeued;
end
$$;
CREATE FUNCTION public.deliveries_retry_1(tenant uuid, event uuid, subscription uuid, lifetime_seconds double precision, most_rows bigint, actor jsonb, OUT retried bigint, OUT is_known boolean) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public'
    AS $$
declare
    at constant timestamptz := now();
    ended uuid[];
begin
    perform 1
    from events as e
    where e.tenant_id = tenant
        and e.id = event;
    if not found then
        return;
    end if;
    update deliveries as d
    set
        next_attempt_at = at,
        trigger = 'manual',
        -- An expired delivery lives on, as if a sweep had ended it before.
        expires_at = case when d.expires_at <= at then at + make_interval(secs => lifetime_seconds) else d.expires_at end
    where d.tenant_id = tenant
        and d.event_id = event
        and d.subscription_id = any(array(
            select x.subscription_id
            from deliveries as x
            where x.tenant_id = tenant
                and x.event_id = event
                and (subscription is null or x.subscription_id = subscription)
                and x.lease is null
                and (x.next_attempt_at > at or x.expires_at <= at)
                and x.next_attempt_at < 'infinity'
            order by x.subscription_id
            limit most_rows
            for update
        ));
    get diagnostics retried = row_count;
    is_known := subscription is null or exists (
        select 1
        from all_deliveries as a
        where a.tenant_id = tenant
            and a.event_id = event
            and a.subscription_id = subscription
    );
    ended := array(
        select a.subscription_id
        from all_deliveries as a
        cross join lateral (
            select 1
            from subscriptions as s
            where s.tenant_id = tenant
                and s.id = a.subscription_id
                and s.deleted_at is null
            limit 1
        ) as living
        where a.tenant_id = tenant
            and a.event_id = event
            and (subscription is null or a.subscription_id = subscription)
            and (
                a.status in ('failed', 'expired', 'skipped')
                or (a.status in ('cancelled', 'succeeded') and subscription is not null)
            )
        order by a.subscription_id
        limit most_rows
    );
    retried := retried + deliveries_requeue_1(
        tenant,
        array_fill(event, array[cardinality(ended)]),
        ended,
        make_interval(secs => lifetime_seconds),
        'manual'
    );
    if retried > 0 then
        perform write_audit(
            actor, tenant, 'retried', 'event', event, null,
            jsonb_build_object('deliveries', retried, 'subscription_id', subscription)
        );
    end if;
end
$$;
CREATE FUNCTION public.deliveries_search_1(tenant uuid, of_subscriptions uuid[], statuses text[], reasons text[], types text[], since timestamp with time zone, until timestamp with time zone, before_event uuid, before_subscription uuid, most_rows bigint, most_examined bigint, most_ms double precision) RETURNS TABLE(examined_event uuid, examined_subscription uuid, tenant_id uuid, event_id uuid, subscription_id uuid)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
    deadline timestamptz;
    -- An id has the time of its request or of publish(), before accepted_at; clocks differ by less than a second.
    from_event constant uuid := coalesce(
        uuid_v7_floor(since - interval '1 minute'), '00000000-0000-0000-0000-000000000000'
    );
    top_event constant uuid := least(before_event, uuid_v7_floor(until + interval '1 second'));
    top_subscription constant uuid := case
        when top_event = before_event then before_subscription else '00000000-0000-0000-0000-000000000000'
    end;
    first_attempt constant uuid := coalesce(
        uuid_v7_floor(since - interval '10 minutes'), '00000000-0000-0000-0000-000000000000'
    );
    wants_queue constant boolean := statuses is null
        or statuses && array['pending', 'sending', 'held', 'cancelled', 'expired'];
    wants_ended constant boolean := statuses is null
        or statuses && array['failed', 'cancelled', 'expired', 'skipped'];
    wants_succeeded constant boolean := reasons is null and (statuses is null or 'succeeded' = any(statuses));
    sub constant uuid := case when cardinality(of_subscriptions) = 1 then of_subscriptions[1] end;
    most_gathered constant bigint := least(most_examined, 10000);
    gathered_events uuid[] := '{}';
    gathered_subscriptions uuid[] := '{}';
    candidates refcursor;
    r record;
    examined bigint := 0;
    found_rows bigint := 0;
    owners uuid[];
begin
    if tenant is null and of_subscriptions is not null then
        owners := array(select distinct s.tenant_id from subscriptions as s where s.id = any(of_subscriptions));
        tenant := case when cardinality(owners) = 1 then owners[1] end;
    end if;
    if tenant is not null and (wants_queue or wants_succeeded) then
        if wants_succeeded and of_subscriptions is null then
            gathered_events := null;
        else
            select g.event_ids, g.subscription_ids
            into gathered_events, gathered_subscriptions
            from deliveries_gather_1(
                tenant, of_subscriptions, wants_succeeded, first_attempt, most_gathered, 5000
            ) as g;
        end if;
    end if;
    candidates := case
        when tenant is null then deliveries_walk_all_1(
            wants_queue, wants_ended, wants_succeeded, from_event, top_event, top_subscription
        )
        when gathered_events is not null then deliveries_walk_ended_1(
            tenant, sub, wants_ended, gathered_events, gathered_subscriptions, from_event, top_event, top_subscription
        )
        when sub is not null then deliveries_walk_pairs_1(tenant, sub, types, from_event, top_event, top_subscription)
        else deliveries_walk_events_1(
            tenant, types, wants_queue, wants_ended, wants_succeeded, from_event, top_event, top_subscription
        )
    end;
    loop
        fetch candidates into r;
        exit when not found;
        examined := examined + 1;
        -- Plans are made before the first row.
        deadline := coalesce(deadline, clock_timestamp() + make_interval(secs => most_ms / 1000));
        -- Several attempts of one delivery are neighbours.
        if r.accepted_at is not null
            and (r.event_id, r.subscription_id) is distinct from (event_id, subscription_id)
            and r.status = any(coalesce(statuses, array[r.status]))
            and (reasons is null or r.reason = any(reasons))
            and (types is null or r.event_type = any(types))
            and (of_subscriptions is null or r.subscription_id = any(of_subscriptions))
            and (since is null or r.accepted_at >= since)
            and (until is null or r.accepted_at < until) then
            tenant_id := r.tenant_id;
            event_id := r.event_id;
            subscription_id := r.subscription_id;
            found_rows := found_rows + 1;
            return next;
            exit when found_rows = most_rows;
        end if;
        if examined = most_examined or clock_timestamp() > deadline then
            examined_event := r.event_id;
            examined_subscription := coalesce(r.subscription_id, '00000000-0000-0000-0000-000000000000');
            tenant_id := null;
            event_id := null;
            subscription_id := null;
            return next;
            exit;
        end if;
    end loop;
    close candidates;
end
$$;
CREATE FUNCTION public.deliveries_summary_1(tenant uuid, most_counted bigint, most_examined bigint, OUT pending bigint, OUT held bigint, OUT failing bigint, OUT oldest_due_seconds double precision, OUT is_cut boolean) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_custom_plan'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
    at constant timestamptz := now();
    oldest timestamptz;
begin
    if tenant is null then
        select
            count(*) filter (where not q.is_held),
            count(*) filter (where q.is_held),
            count(*) >= most_examined
        into pending, held, is_cut
        from (
            select
                d.next_attempt_at = 'infinity'
                or (d.next_attempt_at <= s.held_until and (d.lease is null or d.next_attempt_at <= at)) as is_held
            from (
                select x.tenant_id, x.subscription_id, x.next_attempt_at, x.lease
                from deliveries as x
                order by x.event_id
                limit most_examined
            ) as d
            cross join lateral (
                select deliveries_held_until_1(x.is_active, x.breaker, x.rate_limit, x.max_in_flight, at) as held_until
                from subscriptions as x
                where x.tenant_id = d.tenant_id
                    and x.id = d.subscription_id
                    and x.deleted_at is null
                limit 1
            ) as s
        ) as q;
        select min(q.next_attempt_at)
        into oldest
        from (
            select d.next_attempt_at
            from (
                select x.tenant_id, x.subscription_id, x.next_attempt_at
                from deliveries as x
                where x.lease is null
                    and x.next_attempt_at < 'infinity'
                    and x.next_attempt_at <= at
                order by x.next_attempt_at
                limit most_examined
            ) as d
            cross join lateral (
                select 1
                from subscriptions as x
                where x.tenant_id = d.tenant_id
                    and x.id = d.subscription_id
                    and x.deleted_at is null
                    and d.next_attempt_at > deliveries_held_until_1(x.is_active, x.breaker, x.rate_limit, x.max_in_flight, at)
                limit 1
            ) as s
            limit 1
        ) as q;
    else
        select
            count(*) filter (where not q.is_held),
            count(*) filter (where q.is_held),
            count(*) >= most_examined
        into pending, held, is_cut
        from (
            select
                d.next_attempt_at = 'infinity'
                or (d.next_attempt_at <= s.held_until and (d.lease is null or d.next_attempt_at <= at)) as is_held
            from (
                select
                    x.id,
                    deliveries_held_until_1(x.is_active, x.breaker, x.rate_limit, x.max_in_flight, at) as held_until
                from subscriptions as x
                where x.tenant_id = tenant
                    and x.deleted_at is null
                limit most_examined
            ) as s
            cross join lateral (
                select x.next_attempt_at, x.lease
                from deliveries as x
                where uuid_hash_extended(x.subscription_id, 0) = uuid_hash_extended(s.id, 0)
                    and x.subscription_id = s.id
                    and x.next_attempt_at < 'infinity'
                union all
                select x.next_attempt_at, x.lease
                from deliveries as x
                where x.subscription_id = s.id
                    and x.ordering_key is not null
                    and x.next_attempt_at = 'infinity'
            ) as d
            limit most_examined
        ) as q;
        select min(d.next_attempt_at)
        into oldest
        from (
            select
                x.id,
                deliveries_held_until_1(x.is_active, x.breaker, x.rate_limit, x.max_in_flight, at) as held_until
            from subscriptions as x
            where x.tenant_id = tenant
                and x.deleted_at is null
            limit most_examined
        ) as s
        cross join lateral (
            select x.next_attempt_at
            from deliveries as x
            where uuid_hash_extended(x.subscription_id, 0) = uuid_hash_extended(s.id, 0)
                and x.subscription_id = s.id
                and x.next_attempt_at < 'infinity'
                and x.next_attempt_at > s.held_until
                and x.next_attempt_at <= at
                and x.lease is null
            order by x.next_attempt_at
            limit 1
        ) as d;
    end if;
    select count(*)
    into failing
    from (
        select 1
        from subscription_health as h
        where h.failing_since is not null
            and (h.tenant_id = tenant or tenant is null)
        limit most_counted + 1
    ) as f;
    oldest_due_seconds := coalesce(extract(epoch from at - oldest), 0);
end
$$;
CREATE FUNCTION public.deliveries_take_1(token uuid, lease_seconds double precision, worker uuid, takes_lapsed boolean, most_bytes bigint, subscription_ids uuid[], tenant_ids uuid[], rooms integer[], due_from_times timestamp with time zone[], breakers text[]) RETURNS TABLE(tenant_id uuid, event_id uuid, subscription_id uuid, attempts integer, free_attempts integer, trigger text, ordering_key text, expires_at timestamp with time zone, is_cancelled boolean, was_due timestamp with time zone, is_cut_off boolean, taken_at timestamp with time zone, is_cut_short boolean, event_type text, payload bytea, content_type text, hops smallint, is_deleted boolean, target_url text, secret bytea, older_secrets bytea[], older_until timestamp with time zone[], sealed_headers bytea, retry_schedule text, request_timeout_ms integer, version bigint, skip_after_attempts integer)
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
#variable_conflict use_column
declare
    at constant timestamptz := now();
    lapsed_at constant timestamptz := at - interval '5 seconds';
    tenants uuid[];
    events uuid[];
    subscriptions uuid[];
    counted integer[];
    freed integer[];
    causes text[];
    keys text[];
    ends timestamptz[];
    due_times timestamptz[];
    leases double precision[];
    lapsed boolean[];
    found_rows bigint;
begin
    with asked as materialized (
        select a.subscription_id, a.room, a.due_from, greatest(lease_seconds, s.least_lease_seconds) as seconds
        from unnest(subscription_ids, tenant_ids, rooms, due_from_times, breakers) as a (subscription_id, tenant_id, room, due_from, breaker)
        cross join lateral (
            select x.least_lease_seconds
            from subscriptions as x
            where x.tenant_id = a.tenant_id
                and x.id = a.subscription_id
                and (
                    x.deleted_at is not null
                    or x.is_active and (
                        not x.is_paced
                        or coalesce(x.breaker, '') = a.breaker and exists (
                            select 1
                            from owners as o
                            where o.subscription_id = x.id
                                and o.owner = worker
                                and o.until > at
                        )
                    )
                )
            limit 1
        ) as s
    ),
    due as materialized (
        select d.tid, d.is_lapsed, d.was_due, a.seconds, sum(d.payload_bytes) over (rows unbounded preceding) as bytes
        from asked as a
        cross join lateral (
            select x.ctid as tid, x.lease is not null as is_lapsed, x.next_attempt_at as was_due, x.payload_bytes
            from deliveries as x
            where uuid_hash_extended(x.subscription_id, 0) = uuid_hash_extended(a.subscription_id, 0)
                and x.subscription_id = a.subscription_id
                and x.next_attempt_at < 'infinity'
                and x.next_attempt_at >= a.due_from
                and x.next_attempt_at <= at
                and (x.lease is null or takes_lapsed and x.next_attempt_at <= lapsed_at)
            order by x.next_attempt_at
            limit a.room
            for update skip locked
        ) as d
    ),
    leased as (
        update deliveries as d
        set
            next_attempt_at = at + make_interval(secs => due.seconds),
            lease = token,
            attempts = d.attempts + 1
        from due
        where d.ctid = due.tid
            and (due.bytes <= most_bytes or due.tid = (select due.tid from due limit 1))
        returning
            d.tenant_id, d.event_id, d.subscription_id, d.attempts, d.free_attempts, d.trigger, d.ordering_key,
            d.expires_at, due.was_due, due.seconds, due.is_lapsed
    )
    select
        array_agg(l.tenant_id),
        array_agg(l.event_id),
        array_agg(l.subscription_id),
        array_agg(l.attempts),
        array_agg(l.free_attempts),
        array_agg(l.trigger),
        array_agg(l.ordering_key),
        array_agg(l.expires_at),
        array_agg(l.was_due),
        array_agg(l.seconds),
        array_agg(l.is_lapsed),
        (select count(*) from due)
    into tenants, events, subscriptions, counted, freed, causes, keys, ends, due_times, leases, lapsed, found_rows
    from leased as l;
    if true = any(lapsed) then
        -- The lapsed lease is assumed as long as the new one.
        perform attempts_log_lost_1(
            array_agg(l.tenant_id),
            array_agg(l.event_id),
            array_agg(l.subscription_id),
            array_agg(l.attempts - 1),
            array_agg(l.was_due - make_interval(secs => l.seconds)),
            array_agg(l.trigger)
        )
        from unnest(tenants, events, subscriptions, counted, due_times, leases, lapsed, causes)
            as l (tenant_id, event_id, subscription_id, attempts, was_due, seconds, is_lapsed, trigger)
        where l.is_lapsed;
    end if;
    return query
    select
        l.tenant_id,
        l.event_id,
        l.subscription_id,
        l.attempts,
        l.free_attempts,
        l.trigger,
        l.ordering_key,
        nullif(l.expires_at, '-infinity'),
        l.expires_at is not distinct from '-infinity',
        l.was_due,
        l.is_lapsed,
        at,
        cardinality(events) < found_rows,
        e.event_type,
        e.payload,
        e.content_type,
        e.hops,
        s.deleted_at is not null,
        s.target_url,
        s.secret,
        s.older_secrets,
        s.older_until,
        s.sealed_headers,
        s.retry_schedule,
        s.request_timeout_ms,
        s.version,
        s.skip_after_attempts
    from unnest(tenants, events, subscriptions, counted, freed, causes, keys, ends, due_times, lapsed)
        as l (
            tenant_id, event_id, subscription_id, attempts, free_attempts, trigger, ordering_key, expires_at, was_due,
            is_lapsed
        )
    cross join lateral (
        select x.event_type, x.payload, x.content_type, x.hops
        from events as x
        where x.tenant_id = l.tenant_id
            and x.id = l.event_id
        limit 1
    ) as e
    cross join lateral (
        select
            x.deleted_at,
            x.target_url,
            x.secret,
            x.older_secrets,
            x.older_until,
            x.sealed_headers,
            x.retry_schedule,
            x.request_timeout_ms,
            x.version,
            x.skip_after_attempts
        from subscriptions as x
        where x.tenant_id = l.tenant_id
            and x.id = l.subscription_id
        limit 1
    ) as s;
end
$$;
CREATE FUNCTION public.deliveries_walk_all_1(with_queue boolean, with_ended boolean, with_attempts boolean, from_event uuid, top_event uuid, top_subscription uuid, OUT candidates refcursor) RETURNS refcursor
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
begin
    open candidates for
    select
        k.tenant_id,
        k.event_id,
        k.subscription_id,
        k.status,
        k.reason,
        e.event_type,
        e.accepted_at,
        e.ordering_key,
        e.is_unmatched,
        null::boolean as has_text
    from (
        (
            select q.tenant_id, q.event_id, q.subscription_id, q.status, q.reason
            from queued_deliveries as q
            where with_queue
                and q.event_id >= from_event
                and (q.event_id, q.subscription_id) < (top_event, top_subscription)
            order by q.event_id desc, q.subscription_id desc
        )
        union all
        (
            select u.tenant_id, u.event_id, u.subscription_id, u.status, u.reason
            from undelivered as u
            where with_ended
                and u.event_id >= from_event
                and u.event_id <= top_event
                and (u.event_id, u.subscription_id) < (top_event, top_subscription)
            order by u.event_id desc, u.subscription_id desc
        )
        union all
        (
            select a.tenant_id, a.event_id, a.subscription_id, s.status, null::text
            from attempts as a
            left join lateral (
                select 'succeeded'::text as status
                where a.outcome = 'delivered'
                    and a.trigger is distinct from 'test'
                    and not exists (
                        select 1
                        from deliveries as d
                        where d.event_id = a.event_id
                            and d.subscription_id = a.subscription_id
                    )
                    and not exists (
                        select 1
                        from undelivered as u
                        where u.tenant_id = a.tenant_id
                            and u.event_id = a.event_id
                            and u.subscription_id = a.subscription_id
                    )
                limit 1
            ) as s on true
            where with_attempts
                and a.event_id >= from_event
                and (a.event_id, a.subscription_id) < (top_event, top_subscription)
            order by a.event_id desc, a.subscription_id desc
        )
        order by event_id desc, subscription_id desc
    ) as k
    left join lateral (
        select x.event_type, x.accepted_at, x.ordering_key, x.is_unmatched
        from events as x
        where x.tenant_id = k.tenant_id
            and x.id = k.event_id
        limit 1
    ) as e on true;
end
$$;
CREATE FUNCTION public.deliveries_walk_ended_1(tenant uuid, sub uuid, with_ended boolean, gathered_events uuid[], gathered_subscriptions uuid[], from_event uuid, top_event uuid, top_subscription uuid, OUT candidates refcursor) RETURNS refcursor
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
begin
    open candidates for
    select
        tenant as tenant_id,
        k.event_id,
        k.subscription_id,
        coalesce(k.status, d.status) as status,
        coalesce(k.reason, d.reason) as reason,
        e.event_type,
        e.accepted_at,
        e.ordering_key,
        e.is_unmatched,
        null::boolean as has_text
    from (
        (
            select u.event_id, u.subscription_id, u.status, u.reason
            from undelivered as u
            where with_ended
                and sub is null
                and (u.tenant_id, u.event_id) >= (tenant, from_event)
                and (u.tenant_id, u.event_id, u.subscription_id) < (tenant, top_event, top_subscription)
            order by u.tenant_id desc, u.event_id desc, u.subscription_id desc
        )
        union all
        (
            select u.event_id, u.subscription_id, u.status, u.reason
            from undelivered as u
            where with_ended
                and u.subscription_id = sub
                and u.tenant_id = tenant
                and u.event_id >= from_event
                and u.event_id <= top_event
                and (u.event_id, u.subscription_id) < (top_event, top_subscription)
            order by u.event_id desc, u.subscription_id desc
        )
        union all
        (
            select g.event_id, g.subscription_id, null::text, null::text
            from unnest(gathered_events, gathered_subscriptions) as g (event_id, subscription_id)
            where g.event_id >= from_event
                and (g.event_id, g.subscription_id) < (top_event, top_subscription)
            order by g.event_id desc, g.subscription_id desc
        )
        order by event_id desc, subscription_id desc
    ) as k
    left join lateral (
        select y.status, y.reason
        from all_deliveries as y
        where k.status is null
            and y.tenant_id = tenant
            and y.event_id = k.event_id
            and y.subscription_id = k.subscription_id
        limit 1
    ) as d on true
    left join lateral (
        select x.event_type, x.accepted_at, x.ordering_key, x.is_unmatched
        from events as x
        where x.tenant_id = tenant
            and x.id = k.event_id
        limit 1
    ) as e on true;
end
$$;
CREATE FUNCTION public.deliveries_walk_events_1(tenant uuid, types text[], with_queue boolean, with_ended boolean, with_succeeded boolean, from_event uuid, top_event uuid, top_subscription uuid, OUT candidates refcursor) RETURNS refcursor
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
begin
    open candidates for
    select tenant as tenant_id, e.id as event_id, k.subscription_id, k.status, k.reason, e.event_type, e.accepted_at
    from (
        select x.id, x.event_type, x.accepted_at, types is null or x.event_type = any(types) as is_wanted
        from events as x
        where x.tenant_id = tenant
            and x.id >= from_event
            and x.id <= top_event
        order by x.id desc
    ) as e
    left join lateral (
        select q.subscription_id, q.status, q.reason
        from queued_deliveries as q
        where with_queue
            and e.is_wanted
            and q.event_id = e.id
            and q.tenant_id = tenant
        union all
        select u.subscription_id, u.status, u.reason
        from undelivered as u
        where with_ended
            and e.is_wanted
            and u.tenant_id = tenant
            and u.event_id = e.id
        union all
        select a.subscription_id, 'succeeded', null
        from attempts as a
        where with_succeeded
            and e.is_wanted
            and a.event_id = e.id
            and a.tenant_id::text = tenant::text
            and a.id >= (
                lpad(to_hex(('x' || left(e.id::text, 8))::bit(32)::bigint - 10), 8, '0')
                || '-0000-0000-0000-000000000000'
            )::uuid
            and a.outcome = 'delivered'
            and a.trigger is distinct from 'test'
            and not exists (
                select 1
                from deliveries as d
                where d.event_id = a.event_id
                    and d.subscription_id = a.subscription_id
            )
            and not exists (
                select 1
                from undelivered as u
                where u.tenant_id = tenant
                    and u.event_id = a.event_id
                    and u.subscription_id = a.subscription_id
            )
    ) as k
        on e.id < top_event
        or k.subscription_id < top_subscription
    order by e.id desc, k.subscription_id desc;
end
$$;
CREATE FUNCTION public.deliveries_walk_pairs_1(tenant uuid, sub uuid, types text[], from_event uuid, top_event uuid, top_subscription uuid, OUT candidates refcursor) RETURNS refcursor
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
begin
    open candidates for
    select tenant as tenant_id, e.id as event_id, sub as subscription_id, k.status, k.reason, e.event_type, e.accepted_at
    from (
        select x.id, x.event_type, x.accepted_at, types is null or x.event_type = any(types) as is_wanted
        from events as x
        where x.tenant_id = tenant
            and x.id >= from_event
            and x.id <= top_event
            and (x.id, sub) < (top_event, top_subscription)
        order by x.id desc
    ) as e
    left join lateral (
        select q.status, q.reason
        from queued_deliveries as q
        where e.is_wanted
            and q.event_id = e.id
            and q.subscription_id = sub
            and q.tenant_id = tenant
        union all
        select u.status, u.reason
        from undelivered as u
        where e.is_wanted
            and u.tenant_id = tenant
            and u.event_id = e.id
            and u.subscription_id = sub
        union all
        select 'succeeded', null
        from attempts as a
        where e.is_wanted
            and a.event_id = e.id
            and a.subscription_id = sub
            and a.tenant_id::text = tenant::text
            and a.id >= (
                lpad(to_hex(('x' || left(e.id::text, 8))::bit(32)::bigint - 10), 8, '0')
                || '-0000-0000-0000-000000000000'
            )::uuid
            and a.outcome = 'delivered'
            and a.trigger is distinct from 'test'
        -- In this order: a row of the queue wins, and a success has no other.
        limit 1
    ) as k on true;
end
$$;
CREATE FUNCTION public.ensure_partitions(from_day date, through_day date) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'public'
    AS $$
declare
    parent text;
    day date;
    partition text;
    made integer := 0;
begin
    perform pg_advisory_xact_lock(hashtext(current_schema() || '.partitions'));
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
CREATE TABLE public.event_types (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    description text,
    schema text,
    example text,
    is_deprecated boolean NOT NULL,
    is_validated boolean NOT NULL,
    changed_by jsonb,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT event_types_validated_has_schema CHECK (((schema IS NOT NULL) OR (NOT is_validated)))
);
CREATE FUNCTION public.event_type_document(e public.event_types) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'public'
    RETURN jsonb_build_object('name', (e).name, 'description', (e).description, 'schema', (e).schema, 'example', (e).example, 'deprecated', (e).is_deprecated, 'validate', (e).is_validated);
CREATE FUNCTION public.events_accept_1(event_ids uuid[], tenant_ids uuid[], event_types text[], payloads bytea[], content_types text[], payload_sizes integer[], idempotency_keys text[], fingerprints bytea[], list_versions bigint[], ordering_keys text[], not_before timestamp with time zone[], expire_at timestamp with time zone[], hops smallint[], event_numbers integer[], subscription_ids uuid[], versions bigint[], leased boolean[], token uuid, lease_seconds double precision, OUT changed integer[], OUT taken integer[], OUT taken_by uuid[], OUT taken_by_same boolean[], OUT released integer[], OUT outdated integer[]) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
    at constant timestamptz := now();
    seconds double precision[];
    grouped boolean[];
    unmatched integer[];
    refused integer;
begin
    select
        array_agg(case when d.is_leasable then greatest(lease_seconds, d.least_lease_seconds) end order by d.number),
        array_agg(d.is_grouped order by d.number),
        coalesce(array_agg(d.number) filter (where d.leased and not d.is_leasable), '{}'),
        coalesce(array_agg(d.number) filter (where d.is_outdated), '{}'),
        coalesce(array_agg(d.event_number) filter (where d.has_changed), '{}') || array(
            select i.number
            from unnest(tenant_ids, list_versions) with ordinality as i (tenant_id, list_version, number)
            left join tenants as t
                on t.id = i.tenant_id
            where t.subscriptions_version is distinct from i.list_version
                and i.list_version is not null
        )::integer[]
    into seconds, grouped, released, outdated, changed
    from (
        select
            d.number,
            d.event_number,
            d.leased,
            d.leased and coalesce(s.version = d.version and not s.is_paced, false) as is_leasable,
            s.is_ordered and ordering_keys[d.event_number] is not null as is_grouped,
            list_versions[d.event_number] is null and (s.version = d.version and s.is_active) is not true as has_changed,
            (s.version = d.version) is not true as is_outdated,
            s.least_lease_seconds
        from unnest(event_numbers, subscription_ids, versions, leased) with ordinality
            as d (event_number, subscription_id, version, leased, number)
        left join lateral (
            select x.version, x.is_active, x.is_paced, x.is_ordered, x.least_lease_seconds
            from subscriptions as x
            where x.tenant_id = tenant_ids[d.event_number]
                and x.id = d.subscription_id
                and x.deleted_at is null
            limit 1
        ) as s on true
    ) as d;
    foreach refused in array changed loop
        event_ids[refused] := null;
    end loop;
    taken := '{}';
    taken_by := '{}';
    taken_by_same := '{}';
    if cardinality(array_remove(idempotency_keys, null)) > 0 then
        select k.taken, k.taken_by, k.taken_by_same
        into taken, taken_by, taken_by_same
        from idempotency_keys_claim_1(tenant_ids, idempotency_keys, event_ids, fingerprints) as k;
        foreach refused in array taken loop
            event_ids[refused] := null;
        end loop;
    end if;
    unmatched := array(select n from generate_subscripts(event_ids, 1) as n except select unnest(event_numbers));
    insert into events (
        tenant_id, id, accepted_at, event_type, payload, content_type, fan_out, hops, ordering_key, deliver_at, expires_at,
        is_unmatched
    )
    select
        i.tenant_id,
        i.id,
        at,
        i.event_type,
        i.payload,
        i.content_type,
        case when i.list_version is not null then true end,
        i.hops,
        i.ordering_key,
        i.deliver_at,
        i.expires_at,
        case when i.number = any(unmatched) then true end
    from unnest(
        tenant_ids, event_ids, event_types, payloads, content_types, list_versions, hops, ordering_keys, not_before,
        expire_at
    ) with ordinality as i (
        tenant_id, id, event_type, payload, content_type, list_version, hops, ordering_key, deliver_at, expires_at,
        number
    )
    where i.id is not null;
    perform deliveries_enqueue_1(
        tenant_ids, event_ids, payload_sizes, ordering_keys, not_before, expire_at, event_numbers, subscription_ids,
        seconds, grouped, null, token, null
    );
end
$$;
CREATE FUNCTION public.events_concern_1(tenant uuid, event uuid, of_subscriptions uuid[]) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
begin
    return exists (
        select 1
        from unnest(of_subscriptions) as s (id)
        where exists (
                select 1
                from deliveries as d
                where d.event_id = event
                    and d.subscription_id = s.id
                    and d.tenant_id = tenant
            )
            or exists (
                select 1
                from undelivered as u
                where u.tenant_id = tenant
                    and u.event_id = event
                    and u.subscription_id = s.id
            )
            or exists (
                select 1
                from attempts as a
                where a.event_id = event
                    and a.subscription_id = s.id
                    and a.tenant_id::text = tenant::text
                    and a.id >= uuid_v7_floor(uuid_v7_time(event) - interval '10 minutes')
                    and a.outcome = 'delivered'
                    and a.trigger is distinct from 'test'
            )
    );
end
$$;
CREATE FUNCTION public.events_contain_1(tenant uuid, event uuid, needle bytea) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
begin
    return (
        select position(needle in x.payload) > 0
        from events as x
        where x.tenant_id = tenant
            and x.id = event
    );
end
$$;
CREATE FUNCTION public.events_counts_1(tenant uuid, event uuid, first_attempt uuid, most bigint, OUT pending bigint, OUT sending bigint, OUT held bigint, OUT succeeded bigint, OUT failed bigint, OUT cancelled bigint, OUT expired bigint, OUT skipped bigint, OUT more boolean) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
begin
    select
        count(*) filter (where k.status = 'pending'),
        count(*) filter (where k.status = 'sending'),
        count(*) filter (where k.status = 'held'),
        count(*) filter (where k.status = 'succeeded'),
        count(*) filter (where k.status = 'failed'),
        count(*) filter (where k.status = 'cancelled'),
        count(*) filter (where k.status = 'expired'),
        count(*) filter (where k.status = 'skipped'),
        count(*) filter (where k.of_table = 1) = most
        or count(*) filter (where k.of_table = 2) = most
        or count(*) filter (where k.of_table = 3) = most
    into pending, sending, held, succeeded, failed, cancelled, expired, skipped, more
    from (
        (
            select 1 as of_table, q.status
            from queued_deliveries as q
            where q.event_id = event
                and q.tenant_id = tenant
            limit most
        )
        union all
        (
            select 2, u.status
            from undelivered as u
            where u.tenant_id = tenant
                and u.event_id = event
            limit most
        )
        union all
        (
            select distinct on (a.subscription_id) 3, 'succeeded'
            from attempts as a
            where a.event_id = event
                and a.tenant_id::text = tenant::text
                and a.id >= first_attempt
                and a.outcome = 'delivered'
                and a.trigger is distinct from 'test'
                and not exists (
                    select 1
                    from deliveries as d
                    where d.event_id = event
                        and d.subscription_id = a.subscription_id
                )
                and not exists (
                    select 1
                    from undelivered as u
                    where u.tenant_id = tenant
                        and u.event_id = event
                        and u.subscription_id = a.subscription_id
                )
            order by a.subscription_id
            limit most
        )
    ) as k;
end
$$;
CREATE FUNCTION public.events_pick_1(tenant uuid, types text[], since timestamp with time zone, until timestamp with time zone, before_event uuid, most_rows bigint, most_examined bigint) RETURNS TABLE(examined_event uuid, examined_subscription uuid, event_id uuid, subscription_id uuid)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    AS $$
declare
    nobody constant uuid := '00000000-0000-0000-0000-000000000000';
    -- An event from the outbox is accepted later than its id says.
    from_event constant uuid := coalesce(uuid_v7_floor(since - interval '8 days'), nobody);
    looked uuid[];
    found uuid[];
begin
    select array_agg(e.id), array_agg(e.id) filter (where e.is_wanted)
    into looked, found
    from (
        select
            x.id,
            (types is null or x.event_type = any(types))
            and (since is null or x.accepted_at >= since)
            and (until is null or x.accepted_at < until) as is_wanted
        from events as x
        where (x.tenant_id, x.id) >= (tenant, from_event)
            and (x.tenant_id, x.id) < (tenant, before_event)
            and x.id >= from_event
            and x.id < before_event
        order by x.tenant_id desc, x.id desc
        limit most_examined
    ) as e;
    return query
    select null::uuid, null::uuid, f.id, nobody
    from unnest(found[:most_rows]) as f (id)
    union all
    select looked[most_examined], nobody, null::uuid, null::uuid
    where cardinality(looked) = most_examined
        and coalesce(cardinality(found), 0) < most_rows;
end
$$;
CREATE FUNCTION public.events_raise_1(tenant uuid, subject uuid, kind text, details jsonb) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'public'
    AS $$
declare
    at constant timestamptz := now();
    raised constant uuid := uuid_v7();
    recipients constant uuid[] := array(
        select s.id
        from subscriptions as s
        where s.tenant_id = tenant
            and s.id <> subject
            and s.event_types && system_event_types()
            and kind = any(s.event_types)
            and s.deleted_at is null
        order by s.id
        limit 100
    );
    payload bytea;
begin
    if cardinality(recipients) = 0 then
        return false;
    end if;
    payload := convert_to(
        jsonb_build_object(
            'type', kind,
            'timestamp', rfc3339(at),
            'data', jsonb_build_object('subscription_id', subject, 'external_id', (
                select s.external_id
                from subscriptions as s
                where s.tenant_id = tenant
                    and s.id = subject
            )) || details
        )::text,
        'UTF8'
    );
    insert into events (tenant_id, id, event_type, payload, accepted_at, fan_out, about)
    values (tenant, raised, kind, payload, at, true, subject);
    perform deliveries_enqueue_1(
        array[tenant],
        array[raised],
        array[octet_length(payload)],
        array[null]::text[],
        array[null]::timestamptz[],
        array[null]::timestamptz[],
        array_fill(1, array[cardinality(recipients)]),
        recipients,
        array[]::double precision[],
        array[]::boolean[],
        null,
        null,
        null
    );
    return true;
end
$$;
CREATE FUNCTION public.events_search_1(tenant uuid, of_subscriptions uuid[], statuses text[], types text[], keys text[], ordering_keys text[], since timestamp with time zone, until timestamp with time zone, needle bytea, before_event uuid, most_rows bigint, most_examined bigint, most_ms double precision) RETURNS TABLE(examined_event uuid, tenant_id uuid, event_id uuid, status text)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
    nil constant uuid := '00000000-0000-0000-0000-000000000000';
    deadline timestamptz;
    -- An id has the time of its request or of publish(), before accepted_at; clocks differ by less than a second.
    from_event constant uuid := coalesce(uuid_v7_floor(since - interval '1 minute'), nil);
    top_event uuid := least(before_event, uuid_v7_floor(until + interval '1 second'));
    only_unmatched constant boolean := coalesce(statuses <@ array['no_match'], false);
    only_undelivered constant boolean := coalesce(statuses <@ array['failed', 'pending'], false);
    wants_failed constant boolean := coalesce('failed' = any(statuses), false);
    sub constant uuid := case when cardinality(of_subscriptions) = 1 then of_subscriptions[1] end;
    listed_tenants uuid[];
    listed_events uuid[];
    gathered_subscriptions uuid[];
    width double precision := 10;
    lower_event uuid := from_event;
    candidates refcursor;
    r record;
    is_wanted boolean;
    last_event uuid;
    examined bigint := 0;
    found_rows bigint := 0;
    is_cut boolean := false;
begin
    if tenant is null and of_subscriptions is not null then
        listed_tenants := array(select distinct s.tenant_id from subscriptions as s where s.id = any(of_subscriptions));
        tenant := case when cardinality(listed_tenants) = 1 then listed_tenants[1] end;
        listed_tenants := null;
    end if;
    if keys is not null then
        select coalesce(array_agg(k.tenant_id), '{}'), coalesce(array_agg(k.event_id), '{}')
        into listed_tenants, listed_events
        from unnest(
            case when tenant is null then array(select x.id from tenants as x order by x.id desc limit 10000) else array[tenant] end
        ) as t (id)
        cross join unnest(keys) as wanted (key)
        cross join lateral (
            select x.tenant_id, x.event_id
            from idempotency_keys as x
            where x.tenant_id = t.id
                and x.key = wanted.key
            limit 1
        ) as k;
    elsif tenant is not null and (sub is not null or (only_undelivered and of_subscriptions is null)) then
        select g.event_ids, g.subscription_ids
        into listed_events, gathered_subscriptions
        from deliveries_gather_1(
            tenant,
            case when sub is not null then of_subscriptions end,
            sub is not null,
            coalesce(uuid_v7_floor(since - interval '10 minutes'), nil),
            least(most_examined, 10000),
            5000
        ) as g;
    end if;
    loop
        if tenant is null and keys is null and not only_undelivered then
            select w.tenant_ids, w.event_ids, w.lower_event, w.width
            into listed_tenants, listed_events, lower_event, width
            from events_window_1(only_unmatched, from_event, top_event, width, least(most_examined, 10000)) as w;
        end if;
        candidates := case
            when listed_tenants is not null and listed_events is not null
                then events_walk_listed_1(listed_tenants, listed_events, from_event, top_event)
            when tenant is null then deliveries_walk_all_1(true, wants_failed, false, from_event, top_event, nil)
            when listed_events is not null then deliveries_walk_ended_1(
                tenant,
                sub,
                sub is not null or wants_failed,
                listed_events,
                gathered_subscriptions,
                from_event,
                top_event,
                nil
            )
            else events_walk_1(tenant, only_unmatched, needle, from_event, top_event)
        end;
        loop
            fetch candidates into r;
            exit when not found;
            examined := examined + 1;
            -- Plans are made before the first row.
            deadline := coalesce(deadline, clock_timestamp() + make_interval(secs => most_ms / 1000));
            -- Several deliveries of one event are neighbours.
            if r.event_id is distinct from last_event then
                last_event := r.event_id;
                is_wanted := r.accepted_at is not null
                    and (types is null or coalesce(r.event_type = any(types), false))
                    and (ordering_keys is null or coalesce(r.ordering_key = any(ordering_keys), false))
                    and (since is null or r.accepted_at >= since)
                    and (until is null or r.accepted_at < until);
                if is_wanted and needle is not null and r.has_text is null then
                    is_wanted := events_contain_1(r.tenant_id, r.event_id, needle);
                elsif needle is not null then
                    is_wanted := is_wanted and r.has_text;
                end if;
                is_wanted := is_wanted
                    and (of_subscriptions is null or events_concern_1(r.tenant_id, r.event_id, of_subscriptions));
                status := case
                    when not is_wanted then null
                    when r.status in ('pending', 'sending', 'held') then 'pending'
                    else events_status_1(r.tenant_id, r.event_id, r.is_unmatched)
                end;
                if status = any(coalesce(statuses, array[status])) then
                    tenant_id := r.tenant_id;
                    event_id := r.event_id;
                    found_rows := found_rows + 1;
                    return next;
                end if;
            end if;
            is_cut := examined = most_examined or clock_timestamp() > deadline;
            exit when is_cut or found_rows = most_rows;
        end loop;
        close candidates;
        -- A window without events takes time too.
        deadline := coalesce(deadline, clock_timestamp() + make_interval(secs => most_ms / 1000));
        if not is_cut and lower_event > from_event then
            last_event := lower_event;
            is_cut := clock_timestamp() > deadline;
        end if;
        exit when is_cut or found_rows = most_rows or lower_event <= from_event;
        top_event := lower_event;
    end loop;
    if is_cut and found_rows < most_rows then
        examined_event := last_event;
        tenant_id := null;
        event_id := null;
        return next;
    end if;
end
$$;
CREATE FUNCTION public.events_search_payload_1(tenant uuid, needle bytea, key text, from_id uuid, before_id uuid, most_rows integer, most_ms integer) RETURNS TABLE(examined_to uuid, tenant_id uuid, id uuid, accepted_at timestamp with time zone)
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'on'
    SET enable_sort TO 'off'
    SET jit TO 'off'
    AS $$
declare
    deadline constant timestamptz := clock_timestamp() + make_interval(secs => most_ms / 1000.0);
    first_day constant timestamptz := (
        select uuid_v7_time(p.from_id)
        from partitions as p
        where p.parent = 'events'
        order by p.from_id
        limit 1
    );
    oldest constant timestamptz := greatest(uuid_v7_time(from_id), first_day);
    tenants uuid[] := '{}';
    ids uuid[] := '{}';
    times timestamptz[] := '{}';
    reached uuid;
    upper timestamptz := date_trunc('milliseconds', least(uuid_v7_time(before_id), now() + interval '1 minute'));
    lower timestamptz;
    width interval := interval '100 milliseconds';
    began timestamptz;
    tenants_before uuid[];
    ids_before uuid[];
    times_before timestamptz[];
    event record;
begin
    if tenant is not null then
        for event in
            select e.id, e.accepted_at, e.payload, e.ordering_key
            from events as e
            where e.tenant_id = tenant
                and e.id >= from_id
                and e.id < before_id
            order by e.id desc
        loop
            if position(needle in event.payload) > 0 or event.ordering_key = key then
                tenants := tenants || tenant;
                ids := ids || event.id;
                times := times || event.accepted_at;
            end if;
            if cardinality(ids) >= most_rows or clock_timestamp() >= deadline then
                reached := event.id;
                exit;
            end if;
        end loop;
    else
        <<windows>>
        while upper > oldest loop
            began := clock_timestamp();
            lower := greatest(upper - width, oldest);
            tenants_before := tenants;
            ids_before := ids;
            times_before := times;
            -- A publisher inside another transaction makes ids that are older than their acceptance.
            for event in
                select e.tenant_id, e.id, e.accepted_at, e.payload, e.ordering_key
                from events as e
                where e.accepted_at >= lower
                    and e.accepted_at < upper
                    and e.id >= uuid_v7_floor(lower - interval '8 days')
                    and e.id < uuid_v7_floor(upper + interval '10 minutes')
            loop
                if position(needle in event.payload) > 0 or event.ordering_key = key then
                    tenants := tenants || event.tenant_id;
                    ids := ids || event.id;
                    times := times || event.accepted_at;
                end if;
                -- So many that they would not be shown: a shorter window.
                if cardinality(ids) > most_rows and width > interval '1 millisecond' then
                    tenants := tenants_before;
                    ids := ids_before;
                    times := times_before;
                    width := greatest(date_trunc('milliseconds', width / 8), interval '1 millisecond');
                    continue windows;
                end if;
                -- The first window is always finished, so that every page goes on.
                if clock_timestamp() >= deadline and width > interval '100 milliseconds' then
                    tenants := tenants_before;
                    ids := ids_before;
                    times := times_before;
                    reached := uuid_v7_floor(upper);
                    exit windows;
                end if;
            end loop;
            upper := lower;
            if cardinality(ids) >= most_rows or clock_timestamp() >= deadline then
                reached := uuid_v7_floor(upper);
                exit windows;
            end if;
            if clock_timestamp() - began < make_interval(secs => most_ms / 20000.0) then
                width := width * 2;
            elsif clock_timestamp() - began > make_interval(secs => most_ms / 5000.0) then
                width := greatest(date_trunc('milliseconds', width / 2), interval '101 milliseconds');
            end if;
        end loop;
    end if;
    return query
    select reached, f.tenant_id, f.id, f.accepted_at
    from (values (1)) as one (row)
    left join unnest(tenants, ids, times) as f (tenant_id, id, accepted_at) on true
    where reached is not null
        or f.id is not null;
end
$$;
CREATE FUNCTION public.events_status_1(tenant uuid, event uuid, was_unmatched boolean) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
    has_queued boolean;
    has_live boolean;
begin
    select count(*) > 0, coalesce(bool_or(q.status in ('pending', 'sending', 'held')), false)
    into has_queued, has_live
    from queued_deliveries as q
    where q.event_id = event
        and q.tenant_id = tenant;
    return case
        when has_live then 'pending'
        when has_queued then 'failed'
        when exists (
            select 1
            from undelivered as u
            where u.tenant_id = tenant
                and u.event_id = event
        ) then 'failed'
        when was_unmatched is not true then 'succeeded'
        when exists (
            select 1
            from attempts as a
            where a.event_id = event
                and a.tenant_id::text = tenant::text
                and a.id >= uuid_v7_floor(uuid_v7_time(event) - interval '10 minutes')
                and a.outcome = 'delivered'
                and a.trigger is distinct from 'test'
        ) then 'succeeded'
        else 'no_match'
    end;
end
$$;
CREATE FUNCTION public.events_walk_1(tenant uuid, only_unmatched boolean, needle bytea, from_event uuid, top_event uuid, OUT candidates refcursor) RETURNS refcursor
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
begin
    if only_unmatched then
        open candidates for
        select
            tenant as tenant_id,
            x.id as event_id,
            null::text as status,
            x.event_type,
            x.accepted_at,
            x.ordering_key,
            x.is_unmatched,
            position(needle in x.payload) > 0 as has_text
        from events as x
        where x.tenant_id = tenant
            and x.is_unmatched
            and x.id >= from_event
            and x.id < top_event
        order by x.id desc;
    else
        open candidates for
        select
            tenant as tenant_id,
            x.id as event_id,
            null::text as status,
            x.event_type,
            x.accepted_at,
            x.ordering_key,
            x.is_unmatched,
            position(needle in x.payload) > 0 as has_text
        from events as x
        where x.tenant_id = tenant
            and x.id >= from_event
            and x.id < top_event
        order by x.id desc;
    end if;
end
$$;
CREATE FUNCTION public.events_walk_listed_1(tenant_ids uuid[], event_ids uuid[], from_event uuid, top_event uuid, OUT candidates refcursor) RETURNS refcursor
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
begin
    open candidates for
    select
        l.tenant_id,
        l.event_id,
        null::text as status,
        e.event_type,
        e.accepted_at,
        e.ordering_key,
        e.is_unmatched,
        null::boolean as has_text
    from (
        select x.tenant_id, x.event_id
        from unnest(tenant_ids, event_ids) as x (tenant_id, event_id)
        where x.event_id >= from_event
            and x.event_id < top_event
        order by x.event_id desc
    ) as l
    left join lateral (
        select x.event_type, x.accepted_at, x.ordering_key, x.is_unmatched
        from events as x
        where x.tenant_id = l.tenant_id
            and x.id = l.event_id
        limit 1
    ) as e on true;
end
$$;
CREATE FUNCTION public.events_window_1(only_unmatched boolean, from_event uuid, top_event uuid, INOUT width double precision, most_events bigint, OUT tenant_ids uuid[], OUT event_ids uuid[], OUT lower_event uuid) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
    ends constant timestamptz := least(uuid_v7_time(top_event), now() + interval '1 minute');
begin
    loop
        lower_event := greatest(uuid_v7_floor(greatest(ends - make_interval(secs => width), 'epoch')), from_event);
        select coalesce(array_agg(w.tenant_id), '{}'), coalesce(array_agg(w.id), '{}')
        into tenant_ids, event_ids
        from (
            select t.id as tenant_id, e.id
            from tenants as t
            cross join lateral (
                select x.id
                from events as x
                where not only_unmatched
                    and x.tenant_id = t.id
                    and x.id >= lower_event
                    and x.id < top_event
                union all
                select x.id
                from events as x
                where only_unmatched
                    and x.is_unmatched
                    and x.tenant_id = t.id
                    and x.id >= lower_event
                    and x.id < top_event
            ) as e
            limit most_events + 1
        ) as w;
        exit when cardinality(event_ids) <= most_events or width < 0.002;
        width := width / 4;
    end loop;
    width := width * case when cardinality(event_ids) < most_events / 16 then 8 else 1 end;
end
$$;
CREATE FUNCTION public.fingerprint_part(part bytea) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public'
    RETURN (int8send((COALESCE(octet_length(part), 0))::bigint) || COALESCE(part, '\x'::bytea));
CREATE FUNCTION public.fingerprint_time(at timestamp with time zone) RETURNS bytea
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public'
    AS $$
declare
    nanos constant numeric := floor(extract(epoch from at) * 1000000) * 1000;
    whole constant numeric := 18446744073709551616;
    low constant numeric := mod(mod(nanos, whole) + whole, whole);
begin
    return int8send(((nanos - low) / whole)::bigint)
        || int8send((case when low < whole / 2 then low else low - whole end)::bigint);
end
$$;
CREATE FUNCTION public.forget_orphans(OUT deleted bigint, OUT more boolean) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET lock_timeout TO '250ms'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $_$
declare
    most_rows constant integer := 5000;
    span retired_ids;
    looked bigint;
    reached uuid;
begin
    deleted := 0;
    select r.of_table, r.after_id, r.below_id
    into span
    from retired_ids as r
    order by r.below_id, r.of_table
    limit 1
    for update skip locked;
    more := found;
    if not more then
        return;
    end if;
    execute format(
        'with looked as materialized (
            select r.ctid as tid, r.tenant_id, r.event_id
            from %1$I as r
            where r.event_id > $1
                and r.event_id < $2
            order by r.event_id
            fetch first %2$s rows with ties
        ),
        deleted as (
            delete from %1$I as r
            where r.ctid = any(array(
                select l.tid
                from looked as l
                left join lateral (
                    select true as is_there
                    from events as x
                    where x.tenant_id = l.tenant_id
                        and x.id = l.event_id
                    limit 1
                ) as e on true
                where e.is_there is null
            ))
            returning 1
        )
        select
            (select count(*) from deleted),
            (select l.event_id from looked as l order by l.event_id desc limit 1),
            (select count(*) from looked)',
        span.of_table, most_rows
    ) into deleted, reached, looked using span.after_id, span.below_id;
    if looked >= most_rows then
        update retired_ids as r
        set after_id = reached
        where r.of_table = span.of_table
            and r.below_id = span.below_id;
    else
        delete from retired_ids as r
        where r.of_table = span.of_table
            and r.below_id = span.below_id;
    end if;
exception when lock_not_available then
    deleted := 0;
    more := false;
end
$_$;
CREATE FUNCTION public.forget_subscriptions(deleted_before timestamp with time zone) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET jit TO 'off'
    AS $$
declare
    gone bigint;
begin
    if not pg_try_advisory_xact_lock(hashtext(current_schema() || '.retention')) then
        return 0;
    end if;
    delete from subscriptions as s
    where s.deleted_at < deleted_before
        and s.id = any(array(
            select x.id
            from subscriptions as x
            left join lateral (
                select true as is_there
                from attempts as a
                where a.tenant_id = x.tenant_id
                    and a.subscription_id = x.id
                limit 1
            ) as attempt on true
            left join lateral (
                select true as is_there
                from deliveries as d
                where uuid_hash_extended(d.subscription_id, 0) = uuid_hash_extended(x.id, 0)
                    and d.subscription_id = x.id
                    and d.next_attempt_at < 'infinity'
                limit 1
            ) as delivery on true
            left join lateral (
                select true as is_there
                from deliveries as d
                where d.subscription_id = x.id
                    and d.ordering_key is not null
                limit 1
            ) as ordered on true
            where x.deleted_at < deleted_before
                and attempt.is_there is null
                and delivery.is_there is null
                and ordered.is_there is null
            limit 1000
        ));
    get diagnostics gone = row_count;
    return gone;
end
$$;
CREATE FUNCTION public.grant_analytics() RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'public'
    AS $$
declare
    of_ours record;
begin
    if to_regrole('postrider_analytics') is null then
        return false;
    end if;
    execute format('grant usage on schema %I to postrider_analytics', current_schema());
    for of_ours in select v.name, v.place from analytics_views() as v loop
        execute format('grant usage on schema %s to postrider_analytics', of_ours.place);
        execute format('grant select on %s.%I to postrider_analytics', of_ours.place, of_ours.name);
    end loop;
    return true;
end
$$;
CREATE FUNCTION public.grant_publishing() RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.health_record_1(subscription_ids uuid[], succeeded boolean[], failed integer[], waits double precision[], versions bigint[], open_after_failures integer, open_after_seconds double precision, probe_seconds double precision) RETURNS TABLE(subscription_id uuid, tenant_id uuid, state text)
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
#variable_conflict use_column
declare
    at constant timestamptz := now();
    ids uuid[];
    tenants uuid[];
    states_before text[];
    states text[];
    counts integer[];
    since timestamptz[];
    last_failures timestamptz[];
    opened timestamptz[];
    probe_times timestamptz[];
    probe_counts integer[];
    widths integer[];
begin
    -- Every writer of health locks the subscription first, so what is read next stays.
    perform 1
    from unnest(subscription_ids, versions) as i (subscription_id, version)
    cross join lateral (
        select 1
        from subscriptions as x
        where x.id = i.subscription_id
            and x.version = i.version
            and x.is_active
            and x.deleted_at is null
        limit 1
        for no key update
    ) as s;
    with counted as materialized (
        select
            i.subscription_id,
            s.tenant_id,
            i.failed,
            i.wait,
            h.state,
            h.last_failure_at,
            h.opened_at,
            h.probe_at,
            coalesce(h.probes, 0) as probes,
            h.width,
            case when i.succeeded then 0 else coalesce(h.failures, 0) end + i.failed as failures,
            case
                when i.failed = 0 and i.succeeded then null
                when i.succeeded or h.failing_since is null then at
                else h.failing_since
            end as failing_since,
            i.failed > 0 or h.failing_since is not null as is_worth_a_row
        from unnest(subscription_ids, succeeded, failed, waits, versions)
            as i (subscription_id, succeeded, failed, wait, version)
        cross join lateral (
            select x.tenant_id
            from subscriptions as x
            where x.id = i.subscription_id
                and x.version = i.version
                and x.is_active
                and x.deleted_at is null
            limit 1
        ) as s
        left join lateral (
            select
                x.state, x.failures, x.failing_since, x.last_failure_at, x.opened_at, x.probe_at, x.probes, x.width
            from subscription_health as x
            where x.subscription_id = i.subscription_id
            limit 1
        ) as h on true
    ),
    decided as materialized (
        select
            c.subscription_id,
            case
                when c.wait is not null and c.state is distinct from 'open' then 'throttled'
                when c.state is null
                    and open_after_failures > 0
                    and c.failures >= open_after_failures
                    and (
                        -- A transaction that began later may have counted the first failure.
                        greatest(at - c.failing_since, interval '0') >= make_interval(secs => open_after_seconds)
                        or c.failures >= 10 * open_after_failures
                    )
                    then 'open'
                else c.state
            end as state
        from counted as c
    )
    select
        array_agg(c.subscription_id),
        array_agg(c.tenant_id),
        array_agg(c.state),
        array_agg(d.state),
        array_agg(c.failures),
        array_agg(c.failing_since),
        array_agg(case when c.failed > 0 then at else c.last_failure_at end),
        array_agg(case when d.state = 'open' and c.state is null then at else c.opened_at end),
        array_agg(case
            when c.wait is not null then greatest(c.probe_at, at + make_interval(secs => c.wait))
            when d.state = 'open' and c.state is null then at + make_interval(secs => probe_seconds)
            else c.probe_at
        end),
        array_agg(case when d.state = 'open' and c.state is null then 0 else c.probes end),
        array_agg(c.width)
    into
        ids, tenants, states_before, states, counts, since, last_failures, opened, probe_times, probe_counts, widths
    from counted as c
    inner join decided as d
        on d.subscription_id = c.subscription_id
    where c.is_worth_a_row
        or d.state is null;
    delete from subscription_health as h
    where h.subscription_id = any(array(
        select n.subscription_id
        from unnest(ids, states, counts) as n (subscription_id, state, failures)
        where n.state is null
            and n.failures = 0
    ));
    insert into subscription_health as h (
        subscription_id, tenant_id, state, failures, failing_since, last_failure_at, opened_at, probe_at, probes, width
    )
    select
        n.subscription_id,
        n.tenant_id,
        n.state,
        n.failures,
        n.failing_since,
        n.last_failure_at,
        n.opened_at,
        n.probe_at,
        n.probes,
        n.width
    from unnest(ids, tenants, states, counts, since, last_failures, opened, probe_times, probe_counts, widths)
        as n (
            subscription_id, tenant_id, state, failures, failing_since, last_failure_at, opened_at, probe_at, probes, width
        )
    where n.failures > 0
        or n.state is not null
    order by n.subscription_id
    on conflict on constraint subscription_health_pkey do update
    set
        state = excluded.state,
        failures = excluded.failures,
        warnings = case when excluded.failing_since = h.failing_since then h.warnings else 0 end,
        failing_since = excluded.failing_since,
        last_failure_at = excluded.last_failure_at,
        opened_at = excluded.opened_at,
        probe_at = excluded.probe_at,
        probes = excluded.probes,
        width = excluded.width;
    return query
    select n.subscription_id, n.tenant_id, n.state
    from unnest(ids, tenants, states_before, states) as n (subscription_id, tenant_id, before, state)
    where n.state is distinct from n.before;
end
$$;
CREATE FUNCTION public.histogram(elements bigint[]) RETURNS bigint[]
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    AS $$
begin
    if cardinality(elements) < 32 then
        return elements;
    end if;
    return array(
        select (sum(e >> 8)::bigint << 8) | (e & 255)
        from unnest(elements) as e
        group by e & 255
    );
end
$$;
CREATE FUNCTION public.histogram_add(counted bigint[], others bigint[]) RETURNS bigint[]
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    AS $$
begin
    if cardinality(counted) < 2048 then
        return counted || others;
    end if;
    return array(
        select (sum(e >> 8)::bigint << 8) | (e & 255)
        from unnest(counted || others) as e
        group by e & 255
    );
end
$$;
CREATE FUNCTION public.histogram_bin(milliseconds double precision) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (milliseconds IS NULL) THEN NULL::integer WHEN (milliseconds > (1)::double precision) THEN (LEAST(ceil((((8)::double precision * ln(milliseconds)) / ln((2)::double precision))), (255)::double precision))::integer ELSE 0 END;
CREATE FUNCTION public.histogram_percentile(elements bigint[], fraction double precision) RETURNS double precision
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path TO 'public'
    AS $$
begin
    return (
        select min(histogram_value((e.element & 255)::integer)) filter (where e.up_to >= greatest(ceil(fraction * e.total), 1))
        from (
            select
                u.element,
                sum(u.element >> 8) over (order by u.element & 255) as up_to,
                sum(u.element >> 8) over () as total
            from unnest(elements) as u (element)
        ) as e
    );
end
$$;
CREATE FUNCTION public.histogram_value(bin integer) RETURNS double precision
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE WHEN (bin = 0) THEN (1)::double precision ELSE power((2)::double precision, ((((bin)::numeric - 0.5) / (8)::numeric))::double precision) END;
CREATE FUNCTION public.idempotency_keys_claim_1(tenant_ids uuid[], keys text[], event_ids uuid[], fingerprints bytea[], OUT taken integer[], OUT taken_by uuid[], OUT taken_by_same boolean[]) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
begin
    insert into idempotency_keys (tenant_id, key, event_id, fingerprint)
    select i.tenant_id, i.key, i.event_id, i.fingerprint
    from unnest(tenant_ids, keys, event_ids, fingerprints) as i (tenant_id, key, event_id, fingerprint)
    where i.key is not null
        and i.event_id is not null
    order by i.tenant_id, i.key
    on conflict on constraint idempotency_keys_pkey do nothing;
    -- A separate statement sees what the insert waited for.
    select
        coalesce(array_agg(i.number order by i.number), '{}'),
        coalesce(array_agg(k.event_id order by i.number), '{}'),
        coalesce(array_agg(k.fingerprint = i.fingerprint order by i.number), '{}')
    into taken, taken_by, taken_by_same
    from unnest(tenant_ids, keys, event_ids, fingerprints) with ordinality
        as i (tenant_id, key, event_id, fingerprint, number)
    cross join lateral (
        select x.event_id, x.fingerprint
        from idempotency_keys as x
        where x.tenant_id = i.tenant_id
            and x.key = i.key
        limit 1
    ) as k
    where k.event_id <> i.event_id;
end
$$;
CREATE FUNCTION public.log_complete_before_1() RETURNS timestamp with time zone
    LANGUAGE plpgsql
    SET search_path TO 'public'
    AS $$
declare
    latest constant timestamptz := now() - interval '15 seconds';
begin
    return least(latest, (
        select min(a.xact_start)
        from pg_stat_activity as a
        where a.datname = current_database()
            and a.usename = current_user
            and a.backend_xid is not null
            and a.xact_start < latest
            and a.wait_event in ('SyncRep', 'WALSync', 'WALWrite')
    ));
end
$$;
CREATE FUNCTION public.log_summarise_1() RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET lock_timeout TO '20ms'
    AS $$
declare
    most_ranges constant integer := 1000;
    pages_of_range constant integer := 32;
    today constant uuid := uuid_v7_floor(now());
    found record;
    range bigint;
    made integer;
    summarised bigint := 0;
begin
    for found in
        select i.inhrelid::regclass as index, pg_relation_size(x.indrelid) / 8192 / pages_of_range as ranges
        from partitions as p
        inner join pg_index as x
            on x.indrelid = to_regclass(p.partition)
        inner join pg_inherits as i
            on i.inhrelid = x.indexrelid
        where p.from_id <= today
            and p.below_id > today
            and i.inhparent in ('events_time'::regclass, 'attempts_time'::regclass)
    loop
        range := found.ranges - 1;
        while range >= 0 and range >= found.ranges - most_ranges loop
            made := brin_summarize_range(found.index, range * pages_of_range);
            exit when made = 0;
            summarised := summarised + made;
            range := range - 1;
        end loop;
    end loop;
    return summarised;
exception when lock_not_available then
    -- A vacuum is at work, which summarises too.
    return summarised;
end
$$;
CREATE FUNCTION public.log_tail_1(since timestamp with time zone, until timestamp with time zone, most_rows bigint) RETURNS TABLE(kind text, at timestamp with time zone, tenant_id uuid, id uuid, event_id uuid, subscription_id uuid, event_type text, word text, reason text, number integer, status_code integer, error_message text, duration_ms integer, began_at timestamp with time zone, trigger text)
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_custom_plan'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
    -- Only to skip partitions, as in rollups_fold.
    from_id constant uuid := uuid_v7_floor(greatest(since, '1970-01-10') - interval '1 day');
    event_from_id constant uuid := uuid_v7_floor(greatest(since, '1970-01-10') - interval '8 days');
begin
    return query
    select
        'accepted', e.accepted_at, e.tenant_id, e.id, e.id, null::uuid, e.event_type, null::text, null::text,
        octet_length(e.payload), null::integer, null::text, null::integer, e.accepted_at, null::text
    from events as e
    where e.accepted_at >= since
        and e.accepted_at < until
        and e.id >= event_from_id
    order by e.accepted_at
    fetch first most_rows rows with ties;
    return query
    select
        'attempt', a.written_at, a.tenant_id, a.id, a.event_id, a.subscription_id, a.event_type, a.outcome, null::text,
        a.attempt_number, a.status_code::integer, a.error_message, a.duration_ms, a.created_at, a.trigger
    from attempts as a
    where a.written_at >= since
        and a.written_at < until
        and a.id >= from_id
        and a.trigger is distinct from 'test'
    order by a.written_at
    fetch first most_rows rows with ties;
    return query
    select
        'ended', u.ended_at, u.tenant_id, u.event_id, u.event_id, u.subscription_id, e.event_type, u.status, u.reason,
        u.attempts, null::integer, null::text, null::integer, u.ended_at, null::text
    from (
        select x.tenant_id, x.event_id, x.subscription_id, x.status, x.reason, x.attempts, x.ended_at
        from undelivered as x
        where x.ended_at >= since
            and x.ended_at < until
        order by x.ended_at
        fetch first most_rows rows with ties
    ) as u
    left join lateral (
        select x.event_type
        from events as x
        where x.tenant_id = u.tenant_id
            and x.id = u.event_id
        limit 1
    ) as e on true;
end
$$;
CREATE FUNCTION public.make_role(wanted text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    if to_regrole(wanted) is null
        and exists (select 1 from pg_roles as r where r.rolname = current_user and (r.rolcreaterole or r.rolsuper)) then
        execute format('create role %I nologin', wanted);
    end if;
exception
    when duplicate_object or unique_violation then null;
end
$$;
CREATE FUNCTION public.note_schema_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public'
    AS $$
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
CREATE FUNCTION public.outbox_accept_1(event_ids uuid[], tenant_ids uuid[], event_types text[], payloads bytea[], content_types text[], payload_sizes integer[], idempotency_keys text[], fingerprints bytea[], list_versions bigint[], ordering_keys text[], not_before timestamp with time zone[], expire_at timestamp with time zone[], hops smallint[], event_numbers integer[], subscription_ids uuid[], versions bigint[], leased boolean[], token uuid, lease_seconds double precision, from_outbox boolean[], OUT changed integer[], OUT taken integer[], OUT taken_by uuid[], OUT taken_by_same boolean[], OUT released integer[], OUT outdated integer[], OUT gone integer[]) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
    ids uuid[] := event_ids;
    wanted constant uuid[] := array(
        select i.id
        from unnest(event_ids, from_outbox) as i (id, is_row)
        where i.is_row
    );
    locked uuid[];
    mine uuid[];
    missing integer;
begin
    locked := array(
        select o.id
        from outbox as o
        where o.id = any(wanted)
        order by o.id
        for update skip locked
    );
    mine := array(
        select o.id
        from outbox as o
        where o.id = any(locked)
            and not exists (
                select 1
                from outbox as x
                where x.tenant_id = o.tenant_id
                    and x.ordering_key = o.ordering_key
                    and x.id < o.id
                    and x.id <> all(locked)
            )
    );
    gone := array(
        select i.number
        from unnest(event_ids, from_outbox) with ordinality as i (id, is_row, number)
        where i.is_row
            and i.id <> all(mine)
    );
    foreach missing in array gone loop
        ids[missing] := null;
    end loop;
    select a.changed, a.taken, a.taken_by, a.taken_by_same, a.released, a.outdated
    into changed, taken, taken_by, taken_by_same, released, outdated
    from events_accept_1(
        ids, tenant_ids, event_types, payloads, content_types, payload_sizes, idempotency_keys, fingerprints,
        list_versions, ordering_keys, not_before, expire_at, hops, event_numbers, subscription_ids, versions, leased,
        token, lease_seconds
    ) as a;
    -- Duplicates are ended by outbox/refuse.
    delete from outbox as o
    where o.id = any(mine)
        and o.id <> all(array(select event_ids[n] from unnest(changed || taken) as n));
end
$$;
CREATE FUNCTION public.outbox_check(event_type text, idempotency_key text, ordering_key text, deliver_at timestamp with time zone, expires_at timestamp with time zone) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $_$
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
$_$;
CREATE FUNCTION public.outbox_check_payload(payload bytea) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.outbox_find_key(owner uuid, used_key text, print bytea) RETURNS uuid
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $$
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
CREATE FUNCTION public.outbox_find_subscription(owner uuid, wanted text) RETURNS uuid
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $_$
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
$_$;
CREATE FUNCTION public.outbox_find_tenant(wanted text) RETURNS uuid
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $_$
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
$_$;
CREATE FUNCTION public.outbox_fingerprint(subscription uuid, event_type text, deliver_at timestamp with time zone, expires_at timestamp with time zone, payload bytea, ordering_key text) RETURNS bytea
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.outbox_lead_1(process uuid, seconds double precision, payload_bytes integer, lifetime double precision, OUT is_mine boolean, OUT seconds_left double precision) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public'
    AS $$
begin
    select l.holder = process and l.ends_at > now(), extract(epoch from l.ends_at - now())
    into is_mine, seconds_left
    from outbox_lease as l
    where isfinite(l.ends_at);
    if seconds_left > 0 and (not is_mine or seconds_left > seconds / 2) then
        return;
    end if;
    update outbox_lease as l
    set
        holder = process,
        ends_at = now() + make_interval(secs => seconds),
        max_payload_bytes = payload_bytes,
        delivery_lifetime = make_interval(secs => lifetime)
    where l.holder is not distinct from process
        or l.ends_at <= now();
    is_mine := found;
    seconds_left := seconds;
end
$$;
CREATE FUNCTION public.outbox_list_1(tenant uuid, of_subscriptions uuid[], types text[], keys text[], ordering_keys text[], since timestamp with time zone, until timestamp with time zone, needle bytea, before_id uuid, most_rows bigint, most_examined bigint, most_ms double precision) RETURNS TABLE(examined_id uuid, row_id uuid)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET jit TO 'off'
    AS $$
declare
    from_id constant uuid := uuid_v7_floor(greatest(since, 'epoch'));
    top_id constant uuid := least(before_id, uuid_v7_floor(until + interval '1 millisecond'));
    deadline timestamptz;
    examined bigint := 0;
    found_rows bigint := 0;
    candidates refcursor;
    r record;
begin
    if tenant is null then
        open candidates no scroll for
            select o.id, o.subscription_id, o.event_type, o.idempotency_key, o.ordering_key, o.payload
            from outbox as o
            where o.id >= from_id
                and o.id < top_id
            order by o.id desc;
    else
        open candidates no scroll for
            select o.id, o.subscription_id, o.event_type, o.idempotency_key, o.ordering_key, o.payload
            from outbox as o
            where (o.tenant_id, o.id) >= (tenant, from_id)
                and (o.tenant_id, o.id) < (tenant, top_id)
            order by o.tenant_id desc, o.id desc;
    end if;
    loop
        fetch candidates into r;
        exit when not found;
        examined := examined + 1;
        deadline := coalesce(deadline, clock_timestamp() + make_interval(secs => most_ms / 1000));
        if (since is null or uuid_v7_time(r.id) >= since)
            and (until is null or uuid_v7_time(r.id) < until)
            and (of_subscriptions is null or coalesce(r.subscription_id = any(of_subscriptions), false))
            and (types is null or coalesce(r.event_type = any(types), false))
            and (keys is null or coalesce(r.idempotency_key = any(keys), false))
            and (ordering_keys is null or coalesce(r.ordering_key = any(ordering_keys), false))
            and (needle is null or position(needle in r.payload) > 0) then
            row_id := r.id;
            found_rows := found_rows + 1;
            return next;
        end if;
        if found_rows = most_rows then
            return;
        end if;
        if examined = most_examined or clock_timestamp() > deadline then
            examined_id := r.id;
            row_id := null;
            return next;
            return;
        end if;
    end loop;
end
$$;
CREATE FUNCTION public.outbox_page_1(after uuid, only_tenant uuid, left_out uuid[], most_rows integer, most_bytes bigint, most_examined integer, OUT ids uuid[], OUT reached uuid, OUT is_end boolean) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET jit TO 'off'
    AS $$
declare
    examined integer := 0;
    bytes bigint := 0;
    candidate record;
begin
    ids := '{}';
    reached := after;
    is_end := true;
    for candidate in
        select o.id, o.tenant_id, octet_length(o.payload) as payload_bytes
        from outbox as o
        where o.id > after
        order by o.id
        limit most_examined
    loop
        examined := examined + 1;
        if (candidate.tenant_id = only_tenant) is not false and candidate.tenant_id <> all(left_out) then
            bytes := bytes + candidate.payload_bytes;
            if cardinality(ids) >= most_rows or (bytes > most_bytes and cardinality(ids) > 0) then
                is_end := false;
                return;
            end if;
            ids := ids || candidate.id;
        end if;
        reached := candidate.id;
    end loop;
    is_end := examined < most_examined;
end
$$;
CREATE FUNCTION public.outbox_publish(event_type text, payload bytea, tenant text, subscription_id text, idempotency_key text, ordering_key text, deliver_at timestamp with time zone, expires_at timestamp with time zone, notify boolean) RETURNS uuid
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.outbox_refuse_1(refused uuid[], codes text[], details text[], duplicates uuid[]) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET enable_seqscan TO 'off'
    AS $$
declare
    at constant timestamptz := now();
    ended bigint;
    mine constant uuid[] := array(
        select o.id
        from outbox as o
        where o.id = any(refused)
        order by o.id
        for update skip locked
    );
begin
    insert into unpublished (
        id, tenant_id, ended_at, code, detail, duplicate_of, event_type, payload, subscription_id, idempotency_key,
        ordering_key, deliver_at, expires_at
    )
    select
        o.id,
        o.tenant_id,
        at,
        r.code,
        r.detail,
        r.duplicate_of,
        o.event_type,
        case when r.duplicate_of is null then o.payload end,
        o.subscription_id,
        o.idempotency_key,
        o.ordering_key,
        o.deliver_at,
        o.expires_at
    from unnest(refused, codes, details, duplicates) as r (id, code, detail, duplicate_of)
    inner join outbox as o
        on o.id = r.id
    where o.id = any(mine);
    delete from outbox as o
    where o.id = any(mine);
    get diagnostics ended = row_count;
    return ended;
end
$$;
CREATE FUNCTION public.owners_keep_1(worker uuid, seconds double precision, owned uuid[], wanted uuid[], wanted_tenants uuid[], counted uuid[]) RETURNS TABLE(subscription_id uuid, tenant_id uuid, lasts double precision, is_active boolean, is_paced boolean, rate_limit integer, max_in_flight integer, breaker text, probes integer, width integer, wait_seconds double precision, leased bigint)
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
#variable_conflict use_column
declare
    at constant timestamptz := now();
    most_leases constant integer := 2000;
begin
    perform 1
    from owners as o
    where o.subscription_id = any(owned)
        and o.owner = worker
    order by o.subscription_id
    for update;
    update owners as o
    set until = greatest(o.until, at + make_interval(secs => greatest(seconds, (
        select s.least_lease_seconds
        from subscriptions as s
        where s.id = o.subscription_id
    ))))
    where o.subscription_id = any(owned)
        and o.owner = worker;
    insert into owners as o (subscription_id, tenant_id, owner, until)
    select s.id, s.tenant_id, worker, at + make_interval(secs => greatest(seconds, s.least_lease_seconds))
    from unnest(wanted, wanted_tenants) as w (subscription_id, tenant_id)
    cross join lateral (
        select x.id, x.tenant_id, x.least_lease_seconds
        from subscriptions as x
        where x.tenant_id = w.tenant_id
            and x.id = w.subscription_id
            and x.is_paced
            and x.is_active
            and x.deleted_at is null
        limit 1
    ) as s
    -- Rows of other workers are not locked, because two workers could deadlock.
    where not exists (
        select 1
        from owners as x
        where x.subscription_id = s.id
            and x.until >= at
    )
    order by s.id
    on conflict on constraint owners_pkey do update
    set
        owner = excluded.owner,
        until = excluded.until
    where o.until < at;
    return query
    select
        o.subscription_id,
        o.tenant_id,
        extract(epoch from o.until - at)::double precision,
        s.is_active and s.deleted_at is null,
        s.is_paced,
        s.rate_limit,
        s.max_in_flight,
        s.breaker,
        h.probes,
        h.width,
        extract(epoch from h.probe_at - at)::double precision,
        l.leased
    from owners as o
    cross join lateral (
        select x.is_active, x.is_paced, x.rate_limit, x.max_in_flight, x.breaker, x.deleted_at
        from subscriptions as x
        where x.tenant_id = o.tenant_id
            and x.id = o.subscription_id
        limit 1
    ) as s
    left join lateral (
        select x.probes, x.width, x.probe_at
        from subscription_health as x
        where x.subscription_id = o.subscription_id
        limit 1
    ) as h on true
    cross join lateral (
        select case when count(*) < most_leases then count(x.lease) else most_leases end as leased
        from (
            select x.lease
            from deliveries as x
            where o.subscription_id = any(counted)
                and uuid_hash_extended(x.subscription_id, 0) = uuid_hash_extended(o.subscription_id, 0)
                and x.subscription_id = o.subscription_id
                and x.next_attempt_at < 'infinity'
                and x.next_attempt_at > at
            order by x.next_attempt_at
            limit most_leases
        ) as x
    ) as l
    where o.subscription_id = any(owned || wanted)
        and o.owner = worker
        and o.until > at;
end
$$;
CREATE FUNCTION public.past_partitions(payload_retention interval, log_retention interval) RETURNS TABLE(parent text, partition text)
    LANGUAGE plpgsql
    SET search_path TO 'public'
    AS $$
declare
    payloads_past constant uuid := uuid_v7_floor(greatest(now() - payload_retention, 'epoch'));
    log_past constant uuid := uuid_v7_floor(
        greatest(now() - greatest(payload_retention, log_retention), 'epoch')
    );
    spared constant uuid := uuid_v7_floor(
        (date_trunc('day', now() at time zone 'UTC') - interval '1 day') at time zone 'UTC'
    );
begin
    return query
    select p.parent, p.partition
    from partitions as p
    where p.below_id <= least(spared, case p.parent when 'events' then payloads_past else log_past end)
    order by p.parent desc, p.from_id;
end
$$;
CREATE FUNCTION public.place_analytics() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public'
    AS $$
declare
    of_ours record;
begin
    if to_regnamespace('analytics') is null and has_database_privilege(current_database(), 'create') then
        create schema analytics;
    end if;
    if coalesce(has_schema_privilege(to_regnamespace('analytics')::oid, 'create'), false)
        and not exists (select 1 from pg_class as c where c.relnamespace = to_regnamespace('analytics')) then
        for of_ours in select v.name, v.place from analytics_views() as v loop
            execute format('alter view %s.%I set schema analytics', of_ours.place, of_ours.name);
            execute format(
                'alter view analytics.%I rename to %I', of_ours.name, substr(of_ours.name, length('analytics_') + 1)
            );
        end loop;
    end if;
    perform grant_analytics();
end
$$;
CREATE FUNCTION public.place_publishing() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.publish_buckets_take_1(tenant uuid, per_second double precision, wanted integer, OUT granted integer, OUT wait_seconds double precision) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public'
    AS $$
declare
    at constant timestamptz := now();
    available double precision;
begin
    insert into publish_buckets as b (tenant_id, tokens, filled_at)
    values (tenant, per_second, at)
    on conflict on constraint publish_buckets_pkey do update
    set
        tokens = least(
            per_second,
            b.tokens + per_second * greatest(extract(epoch from at - b.filled_at)::double precision, 0)
        ),
        filled_at = greatest(at, b.filled_at)
    returning b.tokens
    into available;
    granted := least(floor(available), wanted);
    wait_seconds := case when granted = 0 then (wanted - available) / per_second else 0 end;
    update publish_buckets
    set tokens = available - granted
    where tenant_id = tenant
        and granted > 0;
end
$$;
CREATE FUNCTION public.publish_functions() RETURNS TABLE(routine regprocedure, place regnamespace)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    return query
    select p.oid::regprocedure, p.pronamespace::regnamespace
    from pg_proc as p
    where p.proname = 'publish'
        and p.prosecdef
        and p.proconfig @> array['search_path=' || current_schema() || ', pg_temp'];
end
$$;
CREATE FUNCTION public.queue_depth_keep_hours_1() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
    together constant uuid := '00000000-0000-0000-0000-000000000000';
    hour constant timestamptz := date_trunc('hour', now(), 'UTC');
    kept_until constant timestamptz := coalesce(
        (select max(h.at) + interval '1 hour' from queue_depth_hours as h where h.tenant_id = together),
        '-infinity'
    );
begin
    insert into queue_depth_hours (tenant_id, at, pending, held, is_cut)
    select q.tenant_id, e.at, max(q.pending), max(q.held), e.is_cut
    from (
        select date_trunc('hour', m.at, 'UTC') as at, count(*) as counts, bool_or(m.is_cut) as is_cut
        from queue_depth_minutes as m
        where m.tenant_id = together
            and m.at >= kept_until
            and m.at < hour
        group by date_trunc('hour', m.at, 'UTC')
    ) as e
    inner join queue_depth_minutes as q
        on q.at >= e.at
        and q.at < e.at + interval '1 hour'
    group by
        q.tenant_id,
        e.at,
        e.counts,
        e.is_cut
    having q.tenant_id = together or not e.is_cut or count(*) = e.counts;
end
$$;
CREATE FUNCTION public.queue_depth_measure_1(most_examined bigint, most_tenants bigint, least_pause double precision) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
    together constant uuid := '00000000-0000-0000-0000-000000000000';
    counted_at constant timestamptz := now();
    minute constant timestamptz := date_trunc('minute', counted_at);
    examined bigint;
    estimated bigint;
    tenants uuid[];
    pending bigint[];
    held bigint[];
    cut boolean;
begin
    if not pg_try_advisory_xact_lock(hashtext(current_schema() || '.queue_depth')) then
        return null;
    end if;
    if exists (
        select 1
        from queue_depth_minutes as q
        where q.tenant_id = together
            and q.at > counted_at - interval '1 hour'
            and q.at <= minute
            and (q.at = minute or q.at + q.took * least_pause > counted_at)
    ) then
        return null;
    end if;
    -- By subscription and by the times that decide together with it whether a delivery is held; what is sent never is.
    with waiting as materialized (
        select x.tenant_id, x.subscription_id, x.due, count(*) as deliveries
        from (
            select
                d.tenant_id,
                d.subscription_id,
                case
                    when d.lease is not null and d.next_attempt_at > counted_at then null
                    when d.next_attempt_at <= counted_at - interval '1 second' then counted_at - interval '1 second'
                    when d.next_attempt_at <= counted_at then counted_at
                    when d.next_attempt_at < 'infinity' then counted_at + interval '1 second'
                    else 'infinity'
                end as due
            from deliveries as d
            order by d.event_id
            limit most_examined + 1
        ) as x
        group by
            x.tenant_id,
            x.subscription_id,
            x.due
    ),
    depths as materialized (
        select
            w.tenant_id,
            sum(w.deliveries) as deliveries,
            coalesce(sum(w.deliveries) filter (where w.due = 'infinity' or w.due <= s.held_until), 0) as held
        from waiting as w
        cross join lateral (
            select deliveries_held_until_1(x.is_active, x.breaker, x.rate_limit, x.max_in_flight, counted_at) as held_until
            from subscriptions as x
            where x.tenant_id = w.tenant_id
                and x.id = w.subscription_id
                and x.deleted_at is null
            limit 1
        ) as s
        group by w.tenant_id
    )
    select
        coalesce((select sum(w.deliveries) from waiting as w), 0),
        array_agg(n.tenant_id order by n.tenant_id),
        array_agg(n.deliveries - n.held order by n.tenant_id),
        array_agg(n.held order by n.tenant_id),
        (select count(*) from depths as d) > most_tenants
    into examined, tenants, pending, held, cut
    from (
        select together as tenant_id, coalesce(sum(d.deliveries), 0) as deliveries, coalesce(sum(d.held), 0) as held
        from depths as d
        union all
        (
            select d.tenant_id, d.deliveries, d.held
            from depths as d
            order by d.deliveries desc
            limit most_tenants
        )
    ) as n;
    if examined > most_examined then
        estimated := greatest(examined, (
            select t.n_live_tup
            from pg_stat_user_tables as t
            where t.relid = 'deliveries'::regclass
        ));
        tenants := array[together];
        held := array[round(estimated::numeric * held[1] / examined)];
        pending := array[estimated - held[1]];
        cut := true;
    end if;
    insert into queue_depth_minutes (tenant_id, at, pending, held, is_cut, took)
    select d.tenant_id, minute, d.pending, d.held, cut, case when d.tenant_id = together then clock_timestamp() - counted_at end
    from unnest(tenants, pending, held) as d (tenant_id, pending, held);
    perform queue_depth_keep_hours_1();
    return examined;
end
$$;
CREATE FUNCTION public.raise_subscriptions_version() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public'
    AS $$
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
CREATE FUNCTION public.readable(bytes bytea) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path TO 'public'
    AS $$
begin
    return convert_from(bytes, 'UTF8');
exception when others then
    return encode(bytes, 'escape');
end
$$;
CREATE FUNCTION public.refusals_list_1(tenant uuid, codes text[], from_id uuid, before_id uuid, most_rows bigint, most_examined bigint) RETURNS TABLE(examined_to uuid, tenant_id uuid, id uuid)
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    AS $$
declare
    ids uuid[];
    found uuid[];
    owners uuid[];
begin
    if tenant is not null then
        select
            array_agg(x.id),
            array_agg(x.id) filter (where x.is_found),
            array_agg(x.tenant_id) filter (where x.is_found)
        into ids, found, owners
        from (
            select r.id, r.tenant_id, codes is null or r.code = any(codes) as is_found
            from refusals as r
            where (r.tenant_id, r.id) >= (tenant, from_id)
                and (r.tenant_id, r.id) < (tenant, before_id)
            order by r.tenant_id desc, r.id desc
            limit most_examined
        ) as x;
    else
        select
            array_agg(x.id),
            array_agg(x.id) filter (where x.is_found),
            array_agg(x.tenant_id) filter (where x.is_found)
        into ids, found, owners
        from (
            select r.id, r.tenant_id, codes is null or r.code = any(codes) as is_found
            from refusals as r
            where r.id >= from_id
                and r.id < before_id
            order by r.id desc
            limit most_examined
        ) as x;
    end if;
    return query
    select case when cardinality(ids) = most_examined then ids[most_examined] end, f.tenant_id, f.id
    from (values (1)) as one (row)
    left join unnest(owners[:most_rows], found[:most_rows]) as f (tenant_id, id) on true
    where cardinality(ids) = most_examined
        or f.id is not null;
end
$$;
CREATE FUNCTION public.refusals_search_1(tenant uuid, words text, as_id uuid, needle bytea, most_rows bigint, most_examined bigint) RETURNS TABLE(tenant_id uuid, id uuid)
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    AS $$
begin
    if tenant is not null then
        return query
        select x.tenant_id, x.id
        from (
            select
                r.tenant_id, r.id, r.key_id, r.subscription_id, r.subscription, r.idempotency_key, r.request_id,
                r.beginning
            from refusals as r
            where (r.tenant_id, r.id) >= (tenant, '00000000-0000-0000-0000-000000000000')
                and (r.tenant_id, r.id) <= (tenant, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
            order by r.tenant_id desc, r.id desc
            limit most_examined
        ) as x
        where as_id in (x.id, x.key_id, x.subscription_id)
            or words in (x.subscription, x.idempotency_key, x.request_id)
            or position(needle in x.beginning) > 0
        limit most_rows;
    else
        return query
        select x.tenant_id, x.id
        from (
            select
                r.tenant_id, r.id, r.key_id, r.subscription_id, r.subscription, r.idempotency_key, r.request_id,
                r.beginning
            from refusals as r
            order by r.id desc
            limit most_examined
        ) as x
        where as_id in (x.id, x.key_id, x.subscription_id)
            or words in (x.subscription, x.idempotency_key, x.request_id)
            or position(needle in x.beginning) > 0
        limit most_rows;
    end if;
end
$$;
CREATE FUNCTION public.refusals_write_1(ids uuid[], times timestamp with time zone[], tenant_ids uuid[], own boolean[], key_ids uuid[], subscription_ids uuid[], subscription_names text[], statuses smallint[], codes text[], details text[], routes text[], event_types text[], idempotency_keys text[], request_ids text[], remote_addresses inet[], beginnings bytea[], most_rows integer) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
    nobody constant uuid := '00000000-0000-0000-0000-000000000000';
    written bigint;
    source record;
    oldest uuid;
begin
    insert into refusals (
        tenant_id, id, at, subscription_id, key_id, status, is_own, remote_address, code, detail, route, subscription,
        event_type, idempotency_key, request_id, beginning
    )
    select
        coalesce(i.tenant_id, k.tenant_id, s.tenant_id, nobody),
        i.id,
        i.at,
        coalesce(i.subscription_id, e.id),
        i.key_id,
        i.status,
        i.is_own,
        i.remote_address,
        i.code,
        i.detail,
        i.route,
        i.subscription,
        i.event_type,
        i.idempotency_key,
        i.request_id,
        case when coalesce(i.tenant_id, k.tenant_id, s.tenant_id) is not null then i.beginning end
    from unnest(
        ids, times, tenant_ids, own, key_ids, subscription_ids, subscription_names, statuses, codes, details, routes,
        event_types, idempotency_keys, request_ids, remote_addresses, beginnings
    ) as i (
        id, at, tenant_id, is_own, key_id, subscription_id, subscription, status, code, detail, route, event_type,
        idempotency_key, request_id, remote_address, beginning
    )
    left join lateral (
        select x.tenant_id
        from api_keys as x
        where x.id = i.key_id
            and i.tenant_id is null
        limit 1
    ) as k on true
    left join lateral (
        select x.tenant_id
        from subscriptions as x
        where x.id = i.subscription_id
            and i.tenant_id is null
        limit 1
    ) as s on true
    left join lateral (
        select x.id
        from subscriptions as x
        where x.tenant_id = coalesce(i.tenant_id, k.tenant_id)
            and x.external_id = i.subscription
            and x.deleted_at is null
            and i.subscription_id is null
        limit 1
    ) as e on true
    on conflict do nothing;
    get diagnostics written = row_count;
    -- In one order, so that two processes do not wait for each other.
    for source in
        select r.tenant_id, r.is_own
        from unnest(ids) as i (id)
        cross join lateral (
            select x.tenant_id, x.is_own
            from refusals as x
            where x.id = i.id
            limit 1
        ) as r
        group by r.tenant_id, r.is_own
        order by r.tenant_id, r.is_own
    loop
        select x.id
        into oldest
        from refusals as x
        where x.tenant_id = source.tenant_id
            and x.is_own = source.is_own
        order by x.tenant_id desc, x.id desc
        offset case when source.is_own then most_rows else greatest(most_rows / 4, 1) end
        limit 1;
        if found then
            delete from refusals as r
            where r.tenant_id = source.tenant_id
                and r.id <= oldest
                and r.is_own = source.is_own;
        end if;
    end loop;
    return written;
end
$$;
CREATE FUNCTION public.replays_look_1(tenant uuid, replay uuid, most_events bigint, OUT room bigint, OUT reached uuid, OUT looked_to uuid, OUT is_last boolean, OUT event_ids uuid[], OUT event_types text[], OUT endings text[], OUT statuses text[], OUT replayed_types text[], OUT wanted_types text[], OUT filter text) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
    at constant timestamptz := now();
    r record;
    looked uuid[];
begin
    select
        x.subscription_id,
        x.statuses,
        x.event_types,
        x.reached,
        x.below_id,
        -- These endings are not in `undelivered`.
        x.statuses && array['succeeded', 'missed'] as walks_events,
        case when x.stepped_at <= at - interval '900 milliseconds' then 0 else x.stepped end as stepped,
        s.event_types as wanted_types,
        s.filter,
        least(x.rate, s.rate_limit) as most
    into r
    from replays as x
    left join lateral (
        select y.event_types, y.filter, y.rate_limit
        from subscriptions as y
        where y.tenant_id = tenant
            and y.id = x.subscription_id
            and y.deleted_at is null
        limit 1
    ) as s on true
    where x.tenant_id = tenant
        and x.id = replay
        and x.status = 'running'
        and x.selection is null;
    if not found or r.stepped >= r.most then
        return;
    end if;
    select greatest(r.most - r.stepped - count(*), 0)
    into room
    from (
        select 1
        from deliveries as d
        where uuid_hash_extended(d.subscription_id, 0) = uuid_hash_extended(r.subscription_id, 0)
            and d.subscription_id = r.subscription_id
            and d.next_attempt_at < 'infinity'
            and d.next_attempt_at <= at
        order by d.next_attempt_at
        limit r.most
    ) as due;
    looked := case
        when room = 0 then '{}'
        when r.walks_events then array(
            select e.id
            from events as e
            where e.tenant_id = tenant
                and e.id > r.reached
                and e.id < r.below_id
            order by e.id
            limit most_events
        )
        else array(
            select u.event_id
            from undelivered as u
            where (u.subscription_id, u.event_id) > (r.subscription_id, r.reached)
                and (u.subscription_id, u.event_id) < (r.subscription_id, r.below_id)
            order by u.subscription_id, u.event_id
            limit most_events
        )
    end;
    select
        coalesce(array_agg(l.event_id order by l.event_id), '{}'),
        coalesce(array_agg(l.event_type order by l.event_id), '{}'),
        coalesce(array_agg(l.ending order by l.event_id), '{}')
    into event_ids, event_types, endings
    from (
        select
            x.event_id,
            e.event_type,
            case
                when ended.status is not null then ended.status
                when delivered.is_delivered then 'succeeded'
                when e.about is not null then case when e.about <> r.subscription_id then 'system' end
                when e.fan_out then 'fan_out'
            end as ending
        from unnest(looked) as x (event_id)
        cross join lateral (
            select y.event_type, y.fan_out, y.about
            from events as y
            where y.tenant_id = tenant
                and y.id = x.event_id
            limit 1
        ) as e
        left join lateral (
            select y.status
            from undelivered as y
            where y.tenant_id = tenant
                and y.event_id = x.event_id
                and y.subscription_id = r.subscription_id
            limit 1
        ) as ended on true
        left join lateral (
            select true as is_delivered
            from attempts as y
            where y.event_id = x.event_id
                and y.subscription_id = r.subscription_id
                and y.id >= uuid_v7_floor(uuid_v7_time(x.event_id) - interval '10 minutes')
                and y.outcome = 'delivered'
                and ended.status is null
            limit 1
        ) as delivered on true
        left join lateral (
            select true as is_pending
            from deliveries as y
            where y.event_id = x.event_id
                and y.subscription_id = r.subscription_id
            limit 1
        ) as pending on true
        where pending.is_pending is null
    ) as l
    where l.ending is not null;
    reached := r.reached;
    looked_to := looked[cardinality(looked)];
    is_last := room > 0 and cardinality(looked) < most_events;
    statuses := r.statuses;
    replayed_types := r.event_types;
    wanted_types := coalesce(r.wanted_types, '{}');
    filter := r.filter;
end
$$;
CREATE FUNCTION public.replays_pick_1(tenant uuid, replay uuid, most_deliveries bigint, most_examined bigint, most_ms double precision, OUT room bigint, OUT is_to_matching boolean, OUT selection jsonb, OUT began_event uuid, OUT began_subscription uuid, OUT looked_event uuid, OUT looked_subscription uuid, OUT event_ids uuid[], OUT subscription_ids uuid[]) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public'
    AS $$
declare
    at constant timestamptz := now();
    r record;
begin
    select
        x.selection,
        x.is_to_matching,
        x.reached,
        x.reached_subscription,
        x.rate - case when x.stepped_at <= at - interval '900 milliseconds' then 0 else x.stepped end as room
    into r
    from replays as x
    where x.tenant_id = tenant
        and x.id = replay
        and x.status = 'running'
        and x.selection is not null;
    if not found or r.room <= 0 then
        return;
    end if;
    room := r.room;
    is_to_matching := r.is_to_matching;
    selection := r.selection;
    began_event := r.reached;
    began_subscription := r.reached_subscription;
    select
        (array_agg(p.examined_event) filter (where p.event_id is null))[1],
        (array_agg(p.examined_subscription) filter (where p.event_id is null))[1],
        coalesce(array_agg(p.event_id order by p.event_id desc, p.subscription_id desc)
            filter (where p.event_id is not null), '{}'),
        coalesce(array_agg(p.subscription_id order by p.event_id desc, p.subscription_id desc)
            filter (where p.event_id is not null), '{}')
    into looked_event, looked_subscription, event_ids, subscription_ids
    from deliveries_pick_1(
        tenant, r.selection, began_event, began_subscription, least(room, most_deliveries), most_examined, most_ms
    ) as p;
    if looked_event is null and cardinality(event_ids) = least(room, most_deliveries) then
        looked_event := event_ids[cardinality(event_ids)];
        looked_subscription := subscription_ids[cardinality(subscription_ids)];
    end if;
end
$$;
CREATE FUNCTION public.replays_requeue_1(tenant uuid, replay uuid, lifetime_seconds double precision, began_event uuid, began_subscription uuid, next_event uuid, next_subscription uuid, event_ids uuid[], subscription_ids uuid[], OUT written bigint, OUT may_go_on boolean) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public'
    AS $$
declare
    at constant timestamptz := now();
    is_last constant boolean := next_event is null;
    r record;
begin
    select
        x.stepped_at <= at - interval '900 milliseconds' as is_fresh,
        case when x.stepped_at <= at - interval '900 milliseconds' then 0 else x.stepped end as stepped,
        x.rate
    into r
    from replays as x
    where x.tenant_id = tenant
        and x.id = replay
        and x.status = 'running'
        and x.reached = began_event
        and x.reached_subscription = began_subscription
    for update of x skip locked;
    if not found or r.stepped >= r.rate then
        return;
    end if;
    written := deliveries_requeue_1(
        tenant, event_ids, subscription_ids, make_interval(secs => lifetime_seconds), 'replay'
    );
    update replays as x
    set
        reached = coalesce(next_event, x.reached),
        reached_subscription = coalesce(next_subscription, x.reached_subscription),
        stepped_at = case when r.is_fresh then at else x.stepped_at end,
        stepped = r.stepped + written,
        replayed = x.replayed + written,
        status = case when is_last then 'finished' else x.status end,
        ended_at = case when is_last then at end
    where x.tenant_id = tenant
        and x.id = replay;
    may_go_on := not is_last and r.stepped + written < r.rate;
end
$$;
CREATE FUNCTION public.replays_step_1(tenant uuid, replay uuid, lifetime_seconds double precision, began uuid, room bigint, looked_to uuid, is_last_look boolean, chosen uuid[], OUT written bigint, OUT may_go_on boolean) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public'
    AS $$
declare
    at constant timestamptz := now();
    is_full constant boolean := room = 0 or cardinality(chosen) > room;
    is_last constant boolean := is_last_look and not is_full;
    r record;
begin
    chosen := chosen[:room::integer];
    select
        x.subscription_id,
        x.stepped_at <= at - interval '900 milliseconds' as is_fresh,
        case when x.stepped_at <= at - interval '900 milliseconds' then 0 else x.stepped end as stepped,
        s.id is null as is_orphan,
        least(x.rate, s.rate_limit) as most
    into r
    from replays as x
    left join lateral (
        select y.id, y.rate_limit
        from subscriptions as y
        where y.tenant_id = tenant
            and y.id = x.subscription_id
            and y.deleted_at is null
        limit 1
    ) as s on true
    where x.tenant_id = tenant
        and x.id = replay
        and x.status = 'running'
        and x.reached = began
    for update of x skip locked;
    if not found or (not r.is_fresh and r.stepped >= r.most) then
        return;
    end if;
    if r.is_orphan then
        update replays as x
        set
            status = 'cancelled',
            ended_at = at,
            changed_by = null
        where x.tenant_id = tenant
            and x.id = replay;
        written := 0;
        may_go_on := false;
        return;
    end if;
    written := deliveries_requeue_1(
        tenant,
        chosen,
        array_fill(r.subscription_id, array[cardinality(chosen)]),
        make_interval(secs => lifetime_seconds),
        'replay'
    );
    update replays as x
    set
        reached = coalesce(case when is_full then chosen[cardinality(chosen)] else looked_to end, x.reached),
        stepped_at = case when r.is_fresh then at else x.stepped_at end,
        stepped = case when is_full then r.most else r.stepped + written end,
        replayed = x.replayed + written,
        status = case when is_last then 'finished' else x.status end,
        ended_at = case when is_last then at end
    where x.tenant_id = tenant
        and x.id = replay;
    may_go_on := not is_last and not is_full and r.stepped + written < r.most;
    if is_last then
        written := written + events_raise_1(
            tenant,
            r.subscription_id,
            'replay.finished',
            jsonb_build_object('replay_id', replay, 'replayed', (
                select x.replayed
                from replays as x
                where x.tenant_id = tenant
                    and x.id = replay
            ))
        )::integer;
    end if;
end
$$;
CREATE FUNCTION public.replicas_beat_1(replica uuid, replica_role text, program_version text, longest_lease_seconds double precision, in_memory integer, lost_after_seconds double precision) RETURNS TABLE(id uuid, is_lost boolean)
    LANGUAGE plpgsql
    SET search_path TO 'public'
    AS $$
#variable_conflict use_column
declare
    at constant timestamptz := now();
begin
    insert into replicas as r (id, role, version, started_at, heartbeat_at, lease_seconds, backlog)
    values (replica, replica_role, program_version, at, at, longest_lease_seconds, in_memory)
    on conflict on constraint replicas_pkey do update
    set
        heartbeat_at = excluded.heartbeat_at,
        backlog = excluded.backlog;
    -- A lost one stays until a minute after its last lease, so that its leases are found.
    delete from replicas as r
    where r.heartbeat_at < at - make_interval(secs => r.lease_seconds + 60);
    return query
    select r.id, r.heartbeat_at < at - make_interval(secs => lost_after_seconds)
    from replicas as r
    where r.role <> 'api'
    order by r.id;
end
$$;
CREATE FUNCTION public.reset_health() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $$
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
CREATE FUNCTION public.retire_partition(parent text, partition text) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET lock_timeout TO '250ms'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $_$
declare
    most_rows constant bigint := 100000;
    most_bytes constant bigint := 268435456;
    longest_look constant interval := '500 ms';
    few_rows constant bigint := 100;
    is_events constant boolean := retire_partition.parent = 'events';
    fresh constant text := retire_partition.partition || '_outstanding';
    from_id uuid;
    below_id uuid;
    outstanding text;
    rows_left bigint;
    bytes_left bigint;
    worth_rows bigint;
    all_rows bigint;
    is_changed boolean;
    looked_at timestamptz;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise 'retention needs read committed: the last look has to see what was committed since the first'
            using errcode = 'invalid_transaction_state',
            hint = 'Set default_transaction_isolation to read committed in this session.';
    end if;
    if not pg_try_advisory_xact_lock(hashtext(current_schema() || '.retention')) then
        return 'busy';
    end if;
    select p.from_id, p.below_id
    into strict from_id, below_id
    from partitions as p
    where p.parent = retire_partition.parent
        and p.partition = retire_partition.partition;
    -- Uses the queue's key. Clocks differ, so an attempt may begin before its event.
    outstanding := case
        when is_events then format(
            'select e.* from (select distinct d.event_id, d.tenant_id from deliveries as d'
            ' where d.event_id >= %1$L and d.event_id < %2$L) as d'
            ' cross join lateral (select x.* from events as x where x.tenant_id = d.tenant_id'
            ' and x.id = d.event_id and x.id >= %1$L and x.id < %2$L limit 1) as e',
            from_id, below_id
        )
        else format(
            'select a.* from events as e cross join lateral (select x.* from attempts as x'
            ' where x.event_id = e.id and x.tenant_id = e.tenant_id and x.id >= %1$L and x.id < %2$L) as a'
            ' where e.id < %3$L',
            from_id, below_id, uuid_v7_floor(uuid_v7_time(below_id) + interval '10 seconds')
        )
    end;
    looked_at := clock_timestamp();
    execute format(
        'select count(*), coalesce(sum(octet_length(o.%I)), 0) from (%s limit %s) as o',
        case when is_events then 'payload' else 'response_body' end,
        outstanding,
        most_rows + 1
    ) into rows_left, bytes_left;
    if rows_left > most_rows or bytes_left > most_bytes or clock_timestamp() - looked_at > longest_look then
        return 'waiting';
    end if;
    if rows_left > 0 then
        worth_rows := case when rows_left <= few_rows then rows_left + 1 else 2 * rows_left end;
        execute format('select count(*) from (select 1 from %I limit %s) as r', partition, worth_rows)
        into all_rows;
        if all_rows < worth_rows then
            return 'kept';
        end if;
        execute format(
            'create table %I (like %I including all, constraint within check (id >= %L and id < %L))',
            fresh, parent, from_id, below_id
        );
        execute format('insert into %I %s', fresh, outstanding);
    end if;
    execute format('lock table only %I in access exclusive mode', parent);
    if rows_left = 0 then
        execute format('select exists (%s)', outstanding) into is_changed;
    else
        execute format('select exists (select o.id from (%s) as o except select f.id from %I as f)', outstanding, fresh)
        into is_changed;
    end if;
    if is_changed then
        raise lock_not_available;
    end if;
    execute format('drop table %I', partition);
    if rows_left > 0 then
        execute format('alter table %I attach partition %I for values from (%L) to (%L)', parent, fresh, from_id, below_id);
        execute format('alter table %I drop constraint within', fresh);
        execute format('alter table %I rename to %I', fresh, partition);
    end if;
    if is_events then
        insert into retired_ids (of_table, after_id, below_id)
        values ('idempotency_keys', from_id, below_id), ('undelivered', from_id, below_id)
        on conflict on constraint retired_ids_pkey do update
        set after_id = excluded.after_id;
    end if;
    return case when rows_left = 0 then 'dropped' else 'replaced' end;
exception
    when lock_not_available then
        return 'busy';
    when no_data_found then
        return 'busy';
    when invalid_transaction_state then
        raise;
    when others then
        raise warning 'partition % cannot be retired: %', partition, sqlerrm;
        return 'failed';
end
$_$;
CREATE FUNCTION public.rfc3339(moment timestamp with time zone) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN to_char((moment AT TIME ZONE 'UTC'::text), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'::text);
CREATE FUNCTION public.rollups_add_outcomes_1(tenants uuid[], outcomes text[], minutes timestamp with time zone[], numbers integer[], started boolean[], first_bins integer[], delivery_bins integer[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public'
    AS $$
declare
    everybody constant uuid := '00000000-0000-0000-0000-000000000000';
begin
    insert into rollup_minutes as r (tenant_id, at, outcome, accepted, attempts, started, first_attempt, delivery)
    select
        coalesce(f.tenant_id, everybody),
        f.at,
        f.outcome,
        coalesce(sum(f.number) filter (where f.outcome = ''), 0),
        coalesce(sum(f.number) filter (where f.outcome <> ''), 0),
        coalesce(sum(f.number) filter (where f.is_started), 0),
        coalesce(histogram(array_agg((f.number::bigint << 8) | f.first_bin) filter (where f.first_bin is not null)), '{}'),
        coalesce(histogram(array_agg((f.number::bigint << 8) | f.delivery_bin) filter (where f.delivery_bin is not null)), '{}')
    from unnest(tenants, outcomes, minutes, numbers, started, first_bins, delivery_bins)
        as f (tenant_id, outcome, at, number, is_started, first_bin, delivery_bin)
    group by grouping sets ((f.tenant_id, f.at, f.outcome), (f.at, f.outcome))
    on conflict on constraint rollup_minutes_pkey do update
    set
        accepted = r.accepted + excluded.accepted,
        attempts = r.attempts + excluded.attempts,
        started = r.started + excluded.started,
        first_attempt = histogram(r.first_attempt || excluded.first_attempt),
        delivery = histogram(r.delivery || excluded.delivery);
    insert into rollup_hours as r (tenant_id, at, outcome, accepted, attempts, started, first_attempt, delivery)
    select
        coalesce(f.tenant_id, everybody),
        f.at,
        f.outcome,
        coalesce(sum(f.number) filter (where f.outcome = ''), 0),
        coalesce(sum(f.number) filter (where f.outcome <> ''), 0),
        coalesce(sum(f.number) filter (where f.is_started), 0),
        coalesce(histogram(array_agg((f.number::bigint << 8) | f.first_bin) filter (where f.first_bin is not null)), '{}'),
        coalesce(histogram(array_agg((f.number::bigint << 8) | f.delivery_bin) filter (where f.delivery_bin is not null)), '{}')
    from (
        select u.tenant_id, u.outcome, date_bin('1 hour', u.minute, 'epoch') as at, u.number, u.is_started, u.first_bin, u.delivery_bin
        from unnest(tenants, outcomes, minutes, numbers, started, first_bins, delivery_bins)
            as u (tenant_id, outcome, minute, number, is_started, first_bin, delivery_bin)
    ) as f
    group by grouping sets ((f.tenant_id, f.at, f.outcome), (f.at, f.outcome))
    on conflict on constraint rollup_hours_pkey do update
    set
        accepted = r.accepted + excluded.accepted,
        attempts = r.attempts + excluded.attempts,
        started = r.started + excluded.started,
        first_attempt = histogram(r.first_attempt || excluded.first_attempt),
        delivery = histogram(r.delivery || excluded.delivery);
end
$$;
CREATE FUNCTION public.rollups_add_subscriptions_1(tenants uuid[], subscriptions uuid[], types text[], outcomes text[], minutes timestamp with time zone[], numbers integer[], started boolean[], first_bins integer[], delivery_bins integer[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET enable_seqscan TO 'off'
    AS $$
declare
    most_types constant integer := 20;
begin
    insert into rollup_subscriptions as r (
        tenant_id, at, subscription_id, event_type, attempts, delivered, started, first_attempt, delivery
    )
    select
        n.tenant_id,
        n.at,
        n.subscription_id,
        n.name,
        sum(n.attempts),
        sum(n.delivered),
        sum(n.started),
        coalesce(histogram_sum(n.first_attempt), '{}'),
        coalesce(histogram_sum(n.delivery), '{}')
    from (
        select
            s.tenant_id, s.at, s.subscription_id, s.attempts, s.delivered, s.started, s.first_attempt, s.delivery,
            case
                when k.is_known
                    or c.types + row_number() over (
                        partition by s.tenant_id, s.at, s.subscription_id, k.is_known
                        order by s.attempts desc, s.event_type
                    ) <= most_types
                    then s.event_type
                else '(other)'
            end as name
        from (
            select
                f.tenant_id,
                f.at,
                f.subscription_id,
                f.event_type,
                sum(f.number) as attempts,
                coalesce(sum(f.number) filter (where f.outcome = 'delivered'), 0) as delivered,
                coalesce(sum(f.number) filter (where f.is_started), 0) as started,
                array_agg((f.number::bigint << 8) | f.first_bin) filter (where f.first_bin is not null) as first_attempt,
                array_agg((f.number::bigint << 8) | f.delivery_bin) filter (where f.delivery_bin is not null) as delivery
            from (
                select
                    u.tenant_id, u.subscription_id, u.event_type, u.outcome, date_bin('1 hour', u.minute, 'epoch') as at,
                    u.number, u.is_started, u.first_bin, u.delivery_bin
                from unnest(
                    tenants, subscriptions, types, outcomes, minutes, numbers, started, first_bins, delivery_bins
                ) as u (
                    tenant_id, subscription_id, event_type, outcome, minute, number, is_started, first_bin, delivery_bin
                )
                where u.subscription_id is not null
            ) as f
            group by f.tenant_id, f.at, f.subscription_id, f.event_type
        ) as s
        left join lateral (
            select true as is_known
            from rollup_subscriptions as x
            where x.tenant_id = s.tenant_id
                and x.at = s.at
                and x.subscription_id = s.subscription_id
                and x.event_type = s.event_type
            limit 1
        ) as k on true
        left join lateral (
            select count(*) as types
            from rollup_subscriptions as x
            where x.tenant_id = s.tenant_id
                and x.at = s.at
                and x.subscription_id = s.subscription_id
                and k.is_known is null
        ) as c on true
    ) as n
    group by n.tenant_id, n.at, n.subscription_id, n.name
    on conflict on constraint rollup_subscriptions_pkey do update
    set
        attempts = r.attempts + excluded.attempts,
        delivered = r.delivered + excluded.delivered,
        started = r.started + excluded.started,
        first_attempt = histogram(r.first_attempt || excluded.first_attempt),
        delivery = histogram(r.delivery || excluded.delivery);
end
$$;
CREATE FUNCTION public.rollups_add_types_1(tenants uuid[], types text[], outcomes text[], minutes timestamp with time zone[], numbers integer[], started boolean[], first_bins integer[], delivery_bins integer[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET enable_seqscan TO 'off'
    AS $$
declare
    everybody constant uuid := '00000000-0000-0000-0000-000000000000';
    most_of_tenant constant integer := 200;
    most_of_all constant integer := 1000;
begin
    insert into rollup_types as r (
        tenant_id, at, event_type, accepted, attempts, delivered, started, first_attempt, delivery
    )
    select
        n.tenant_id,
        n.at,
        n.name,
        sum(n.accepted),
        sum(n.attempts),
        sum(n.delivered),
        sum(n.started),
        coalesce(histogram_sum(n.first_attempt), '{}'),
        coalesce(histogram_sum(n.delivery), '{}')
    from (
        select
            s.tenant_id, s.at, s.accepted, s.attempts, s.delivered, s.started, s.first_attempt, s.delivery,
            case
                when k.is_known
                    or c.types + row_number() over (
                        partition by s.tenant_id, s.at, k.is_known
                        order by s.accepted + s.attempts desc, s.event_type
                    ) <= case when s.tenant_id = everybody then most_of_all else most_of_tenant end
                    then s.event_type
                else '(other)'
            end as name
        from (
            select
                coalesce(f.tenant_id, everybody) as tenant_id,
                f.at,
                f.event_type,
                coalesce(sum(f.number) filter (where f.outcome = ''), 0) as accepted,
                coalesce(sum(f.number) filter (where f.outcome <> ''), 0) as attempts,
                coalesce(sum(f.number) filter (where f.outcome = 'delivered'), 0) as delivered,
                coalesce(sum(f.number) filter (where f.is_started), 0) as started,
                array_agg((f.number::bigint << 8) | f.first_bin) filter (where f.first_bin is not null) as first_attempt,
                array_agg((f.number::bigint << 8) | f.delivery_bin) filter (where f.delivery_bin is not null) as delivery
            from (
                select
                    u.tenant_id, u.event_type, u.outcome, date_bin('1 hour', u.minute, 'epoch') as at, u.number,
                    u.is_started, u.first_bin, u.delivery_bin
                from unnest(tenants, types, outcomes, minutes, numbers, started, first_bins, delivery_bins)
                    as u (tenant_id, event_type, outcome, minute, number, is_started, first_bin, delivery_bin)
            ) as f
            group by grouping sets ((f.tenant_id, f.at, f.event_type), (f.at, f.event_type))
        ) as s
        left join lateral (
            select true as is_known
            from rollup_types as x
            where x.tenant_id = s.tenant_id
                and x.at = s.at
                and x.event_type = s.event_type
            limit 1
        ) as k on true
        left join lateral (
            select count(*) as types
            from rollup_types as x
            where x.tenant_id = s.tenant_id
                and x.at = s.at
                and k.is_known is null
        ) as c on true
    ) as n
    group by n.tenant_id, n.at, n.name
    on conflict on constraint rollup_types_pkey do update
    set
        accepted = r.accepted + excluded.accepted,
        attempts = r.attempts + excluded.attempts,
        delivered = r.delivered + excluded.delivered,
        started = r.started + excluded.started,
        first_attempt = histogram(r.first_attempt || excluded.first_attempt),
        delivery = histogram(r.delivery || excluded.delivery);
end
$$;
CREATE FUNCTION public.rollups_count_log_1(tenant uuid, subscription uuid, since timestamp with time zone, until timestamp with time zone, most_rows bigint) RETURNS TABLE(at timestamp with time zone, tenant_id uuid, subscription_id uuid, event_type text, outcome text, accepted bigint, attempts bigint, delivered bigint, started bigint, first_attempt bigint[], delivery bigint[], more boolean)
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_custom_plan'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
    most_subscriptions constant integer := 10000;
    from_id constant uuid := uuid_v7_floor(since);
    below_id constant uuid := uuid_v7_floor(until);
    of_subscriptions uuid[];
    keys record;
begin
    if tenant is not null or subscription is not null then
        of_subscriptions := array(
            select s.id
            from subscriptions as s
            where (tenant is null or s.tenant_id = tenant)
                and (subscription is null or s.id = subscription)
            limit most_subscriptions + 1
        );
        of_subscriptions := case when cardinality(of_subscriptions) <= most_subscriptions then of_subscriptions end;
    end if;
    select w.tenant_ids, w.subscription_ids, w.ids, w.lower_id
    into keys
    from attempts_window_1(
        of_subscriptions, from_id, below_id, extract(epoch from until - since)::double precision, most_rows
    ) as w;
    return query
    select
        c.minute,
        c.owner,
        c.receiver,
        c.type,
        c.met,
        count(*) filter (where c.is_first),
        count(*),
        count(*) filter (where c.met = 'delivered'),
        count(*) filter (where c.is_first),
        coalesce(histogram(array_agg(256 + histogram_bin(c.waited)::bigint) filter (where c.is_first and c.waited is not null)), '{}'),
        coalesce(histogram(array_agg(256 + histogram_bin(c.waited + c.took)::bigint) filter (
            where c.is_fresh and c.met = 'delivered' and c.waited is not null
        )), '{}'),
        keys.lower_id > from_id
    from (
        select
            date_bin('1 minute', a.created_at, 'epoch') as minute,
            a.owner,
            a.receiver,
            coalesce(a.event_type, '') as type,
            a.outcome as met,
            a.is_first,
            a.is_fresh,
            coalesce(a.duration_ms, 0) as took,
            (1000 * extract(epoch from a.created_at - e.due_at))::double precision as waited,
            a.trigger
        from (
            select
                k.owner, k.receiver, x.event_id, x.created_at, x.event_type, x.outcome, x.duration_ms, x.trigger,
                x.attempt_number = 1 and coalesce(x.trigger, 'fresh') not in ('manual', 'replay') as is_first,
                coalesce(x.trigger, 'fresh') not in ('manual', 'replay') as is_fresh
            from unnest(keys.tenant_ids, keys.subscription_ids, keys.ids) as k (owner, receiver, id)
            cross join lateral (
                select y.event_id, y.created_at, y.event_type, y.outcome, y.duration_ms, y.trigger, y.attempt_number
                from attempts as y
                where y.tenant_id = k.owner
                    and y.subscription_id = k.receiver
                    and y.id = k.id
                limit 1
            ) as x
            where tenant is null
                or k.owner = tenant
        ) as a
        left join lateral (
            select greatest(y.accepted_at, y.deliver_at) as due_at
            from events as y
            where y.tenant_id = a.owner
                and y.id = a.event_id
                and (a.is_first or (a.is_fresh and a.outcome = 'delivered'))
            limit 1
        ) as e on true
    ) as c
    where c.trigger is distinct from 'test'
    group by c.minute, c.owner, c.receiver, c.type, c.met
    order by c.minute desc;
end
$$;
CREATE FUNCTION public.rollups_fold_1(most_rows bigint, OUT reached timestamp with time zone, OUT attempts bigint, OUT events bigint, OUT more boolean) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_custom_plan'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
    least_span constant interval := '10 milliseconds';
    most_span constant interval := '1 day';
    mark constant timestamptz := log_complete_before_1();
    since timestamptz;
    step interval;
    from_id uuid;
    event_from_id uuid;
    tenants uuid[];
    subscriptions uuid[];
    types text[];
    outcomes text[];
    minutes timestamptz[];
    numbers integer[];
    started boolean[];
    first_bins integer[];
    delivery_bins integer[];
begin
    attempts := 0;
    events := 0;
    more := false;
    if not pg_try_advisory_xact_lock(hashtext(current_schema() || '.rollups')) then
        return;
    end if;
    select p.folded_until, p.span
    into since, step
    from rollup_progress as p
    for update;
    reached := since;
    if since >= mark then
        return;
    end if;
    -- Only to skip partitions: a lost attempt is dated back up to 12 hours, an event from the outbox by how long it waited.
    from_id := uuid_v7_floor(since - interval '1 day');
    event_from_id := uuid_v7_floor(since - interval '8 days');
    loop
        reached := least(mark, since + step);
        select count(*)
        into attempts
        from (
            select 1
            from attempts as a
            where a.written_at >= since
                and a.written_at < reached
                and a.id >= from_id
            limit most_rows + 1
        ) as a;
        select count(*)
        into events
        from (
            select 1
            from events as e
            where e.accepted_at >= since
                and e.accepted_at < reached
                and e.id >= event_from_id
            limit most_rows + 1
        ) as e;
        exit when greatest(attempts, events) <= most_rows or step <= least_span;
        step := greatest(least(step, reached - since) / 4, least_span);
    end loop;
    more := reached < mark;
    update rollup_progress
    set
        folded_until = reached,
        span = case when greatest(attempts, events) < most_rows / 4 then least(2 * step, most_span) else step end;
    if attempts = 0 and events = 0 then
        return;
    end if;
    select
        array_agg(f.tenant_id),
        array_agg(f.subscription_id),
        array_agg(f.event_type),
        array_agg(f.outcome),
        array_agg(f.minute),
        array_agg(f.number),
        array_agg(f.is_started),
        array_agg(f.first_bin),
        array_agg(f.delivery_bin)
    into tenants, subscriptions, types, outcomes, minutes, numbers, started, first_bins, delivery_bins
    from (
        select
            a.tenant_id,
            a.subscription_id,
            coalesce(a.event_type, '') as event_type,
            a.outcome,
            date_bin('1 minute', a.created_at, 'epoch') as minute,
            count(*)::integer as number,
            t.is_first and t.is_fresh as is_started,
            case
                when t.is_first and t.is_fresh then histogram_bin(1000 * extract(epoch from a.created_at - e.due_at))
            end as first_bin,
            case
                when a.outcome = 'delivered' and t.is_fresh
                    then histogram_bin(1000 * extract(epoch from a.created_at - e.due_at) + coalesce(a.duration_ms, 0))
            end as delivery_bin
        from attempts as a
        cross join lateral (
            select
                a.attempt_number = 1 as is_first,
                coalesce(a.trigger, 'fresh') not in ('manual', 'replay') as is_fresh
        ) as t
        left join lateral (
            select greatest(x.accepted_at, x.deliver_at) as due_at
            from events as x
            where x.tenant_id = a.tenant_id
                and x.id = a.event_id
                and t.is_fresh
                and (t.is_first or a.outcome = 'delivered')
            limit 1
        ) as e on true
        where a.written_at >= since
            and a.written_at < reached
            and a.id >= from_id
            and a.trigger is distinct from 'test'
        group by 1, 2, 3, 4, 5, 7, 8, 9
        union all
        select
            e.tenant_id,
            null,
            coalesce(e.event_type, ''),
            '',
            date_bin('1 minute', e.accepted_at, 'epoch'),
            count(*)::integer,
            false,
            null,
            null
        from events as e
        where e.accepted_at >= since
            and e.accepted_at < reached
            and e.id >= event_from_id
        group by 1, 3, 5
    ) as f;
    perform rollups_add_outcomes_1(tenants, outcomes, minutes, numbers, started, first_bins, delivery_bins);
    perform rollups_add_types_1(tenants, types, outcomes, minutes, numbers, started, first_bins, delivery_bins);
    perform rollups_add_subscriptions_1(
        tenants, subscriptions, types, outcomes, minutes, numbers, started, first_bins, delivery_bins
    );
end
$$;
CREATE FUNCTION public.rollups_forget_1(most_rows bigint) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET enable_seqscan TO 'off'
    AS $$
declare
    minutes_before constant timestamptz := now() - interval '48 hours';
    hours_before constant timestamptz := now() - interval '90 days';
    gone bigint;
    forgotten bigint := 0;
begin
    if not pg_try_advisory_xact_lock(hashtext(current_schema() || '.rollups')) then
        return 0;
    end if;
    delete from rollup_minutes as r
    where r.ctid = any(array(select x.ctid from rollup_minutes as x where x.at < minutes_before order by x.at limit most_rows));
    get diagnostics gone = row_count;
    forgotten := forgotten + gone;
    delete from rollup_hours as r
    where r.ctid = any(array(select x.ctid from rollup_hours as x where x.at < hours_before order by x.at limit most_rows));
    get diagnostics gone = row_count;
    forgotten := forgotten + gone;
    delete from rollup_types as r
    where r.ctid = any(array(select x.ctid from rollup_types as x where x.at < hours_before order by x.at limit most_rows));
    get diagnostics gone = row_count;
    forgotten := forgotten + gone;
    delete from rollup_subscriptions as r
    where r.ctid = any(array(
        select x.ctid from rollup_subscriptions as x where x.at < hours_before order by x.at limit most_rows
    ));
    get diagnostics gone = row_count;
    forgotten := forgotten + gone;
    delete from queue_depth_minutes as q
    where q.ctid = any(array(
        select x.ctid from queue_depth_minutes as x where x.at < minutes_before order by x.at limit most_rows
    ));
    get diagnostics gone = row_count;
    forgotten := forgotten + gone;
    delete from queue_depth_hours as q
    where q.ctid = any(array(
        select x.ctid from queue_depth_hours as x where x.at < hours_before order by x.at limit most_rows
    ));
    get diagnostics gone = row_count;
    return forgotten + gone;
end
$$;
CREATE FUNCTION public.rollups_read_1(source text, tenant uuid, subscription uuid, since timestamp with time zone, until timestamp with time zone, most_rows bigint, most_tenants bigint) RETURNS TABLE(at timestamp with time zone, tenant_id uuid, subscription_id uuid, event_type text, outcome text, accepted bigint, attempts bigint, delivered bigint, started bigint, first_attempt bigint[], delivery bigint[], more boolean)
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_custom_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
begin
    if tenant is null and source in ('minutes', 'hours') then
        return query
        select
            e.at, e.tenant_id, null::uuid, null::text, e.outcome, e.accepted, e.attempts,
            case when e.outcome = 'delivered' then e.attempts else 0 end, e.started, e.first_attempt, e.delivery,
            false
        from rollups_read_each_1(source, since, until, most_rows, most_tenants) as e;
    elsif source = 'minutes' then
        return query
        select
            r.at, r.tenant_id, null::uuid, null::text, r.outcome, r.accepted, r.attempts,
            case when r.outcome = 'delivered' then r.attempts else 0 end, r.started, r.first_attempt, r.delivery,
            false
        from (
            select x.at, x.tenant_id, x.outcome, x.accepted, x.attempts, x.started, x.first_attempt, x.delivery
            from rollup_minutes as x
            where x.tenant_id = tenant
                and x.at >= since
                and x.at < until
            order by x.at desc
            limit most_rows
        ) as r;
    elsif source = 'hours' then
        return query
        select
            r.at, r.tenant_id, null::uuid, null::text, r.outcome, r.accepted, r.attempts,
            case when r.outcome = 'delivered' then r.attempts else 0 end, r.started, r.first_attempt, r.delivery,
            false
        from (
            select x.at, x.tenant_id, x.outcome, x.accepted, x.attempts, x.started, x.first_attempt, x.delivery
            from rollup_hours as x
            where x.tenant_id = tenant
                and x.at >= since
                and x.at < until
            order by x.at desc
            limit most_rows
        ) as r;
    elsif source = 'types' then
        return query
        select
            r.at, r.tenant_id, null::uuid, r.event_type, null::text, r.accepted, r.attempts, r.delivered, r.started,
            r.first_attempt, r.delivery, false
        from (
            select x.at, x.tenant_id, x.event_type, x.accepted, x.attempts, x.delivered, x.started, x.first_attempt, x.delivery
            from rollup_types as x
            where x.tenant_id = tenant
                and x.at >= since
                and x.at < until
            order by x.at desc
            limit most_rows
        ) as r;
    elsif source = 'subscriptions' then
        return query
        select
            r.at, r.tenant_id, r.subscription_id, r.event_type, null::text, r.started, r.attempts, r.delivered, r.started,
            r.first_attempt, r.delivery, false
        from (
            select x.at, x.tenant_id, x.subscription_id, x.event_type, x.attempts, x.delivered, x.started, x.first_attempt, x.delivery
            from rollup_subscriptions as x
            where (x.tenant_id = tenant or tenant is null)
                and (x.subscription_id = subscription or subscription is null)
                and x.at >= since
                and x.at < until
            order by x.at desc
            limit most_rows
        ) as r;
    elsif source = 'log' then
        return query
        select
            l.at, l.tenant_id, l.subscription_id, l.event_type, l.outcome, l.accepted, l.attempts, l.delivered, l.started,
            l.first_attempt, l.delivery, l.more
        from rollups_count_log_1(tenant, subscription, since, until, most_rows) as l;
    end if;
end
$$;
CREATE FUNCTION public.rollups_read_each_1(source text, since timestamp with time zone, until timestamp with time zone, most_rows bigint, most_tenants bigint) RETURNS TABLE(at timestamp with time zone, tenant_id uuid, outcome text, accepted bigint, attempts bigint, started bigint, first_attempt bigint[], delivery bigint[])
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_custom_plan'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
    everybody constant uuid := '00000000-0000-0000-0000-000000000000';
begin
    return query
    with newest as (
        (
            select x.tenant_id, x.attempts, x.accepted
            from rollup_minutes as x
            where source = 'minutes'
                and x.tenant_id <> everybody
                and x.at >= since
                and x.at < until
            order by x.at desc
            limit most_rows
        )
        union all
        (
            select x.tenant_id, x.attempts, x.accepted
            from rollup_hours as x
            where source = 'hours'
                and x.tenant_id <> everybody
                and x.at >= since
                and x.at < until
            order by x.at desc
            limit most_rows
        )
    ),
    busiest as (
        select n.tenant_id
        from newest as n
        group by n.tenant_id
        order by
            sum(n.attempts) desc,
            sum(n.accepted) desc,
            n.tenant_id
        limit most_tenants + 1
    )
    select r.at, r.tenant_id, r.outcome, r.accepted, r.attempts, r.started, r.first_attempt, r.delivery
    from busiest as b
    cross join lateral (
        (
            select x.at, x.tenant_id, x.outcome, x.accepted, x.attempts, x.started, x.first_attempt, x.delivery
            from rollup_minutes as x
            where source = 'minutes'
                and x.tenant_id = b.tenant_id
                and x.at >= since
                and x.at < until
            order by x.at desc
            limit most_rows
        )
        union all
        (
            select x.at, x.tenant_id, x.outcome, x.accepted, x.attempts, x.started, x.first_attempt, x.delivery
            from rollup_hours as x
            where source = 'hours'
                and x.tenant_id = b.tenant_id
                and x.at >= since
                and x.at < until
            order by x.at desc
            limit most_rows
        )
    ) as r
    order by r.at desc
    limit most_rows;
end
$$;
CREATE FUNCTION public.search_exact_1(tenant uuid, words text, as_id uuid) RETURNS TABLE(kind text, tenant_id uuid, id uuid, event_id uuid, subscription_id uuid, at timestamp with time zone, status text, reason text, title text, target_url text)
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'on'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
declare
    among uuid[];
    owner uuid;
begin
    among := case
        when tenant is not null then array[tenant]
        else array(select t.id from tenants as t where t.deleted_at is null order by t.id desc limit 10000)
    end;
    return query
    select
        'tenant', t.id, t.id, null::uuid, null::uuid, t.created_at,
        case when t.deleted_at is null then 'active' else 'deleted' end, null::text, t.name, null::text
    from tenants as t
    where t.id = coalesce(
            as_id,
            (select x.id from tenants as x where x.external_id = words and x.deleted_at is null limit 1)
        )
        and (tenant is null or t.id = tenant);
    return query
    select
        'subscription', s.tenant_id, s.id, null::uuid, s.id, s.created_at,
        case when s.deleted_at is not null then 'deleted' when s.is_active then 'active' else 'disabled' end,
        coalesce(s.disabled_reason, s.disabled_by, s.breaker),
        coalesce(s.external_id, nullif(s.description, ''), s.target_url),
        s.target_url
    from subscriptions as s
    where s.id = coalesce(
            as_id,
            (
                select x.id
                from unnest(among) as t (id)
                cross join lateral (
                    select y.id
                    from subscriptions as y
                    where y.tenant_id = t.id
                        and y.external_id = words
                        and y.deleted_at is null
                    limit 1
                ) as x
                limit 1
            )
        )
        and (tenant is null or s.tenant_id = tenant);
    return query
    select
        'event', k.tenant_id, k.event_id, k.event_id, null::uuid, null::timestamptz, null::text, null::text, null::text,
        null::text
    from unnest(among) as t (id)
    cross join lateral (
        select x.tenant_id, x.event_id
        from idempotency_keys as x
        where x.tenant_id = t.id
            and x.key = words
        limit 1
    ) as k
    limit 10;
    if as_id is null then
        return;
    end if;
    -- Of its subscription, if it has one.
    return query
    select
        'subscription', r.tenant_id, coalesce(r.subscription_id, r.id), null::uuid, r.subscription_id, r.created_at, r.status,
        'replay ' || r.status, 'replay ' || r.id, null::text
    from unnest(among) as t (id)
    cross join lateral (
        select x.tenant_id, x.id, x.subscription_id, x.created_at, x.status
        from replays as x
        where x.tenant_id = t.id
            and x.id = as_id
        limit 1
    ) as r;
    return query
    select
        'attempt', a.tenant_id, a.id, a.event_id, a.subscription_id, a.created_at,
        case when a.outcome = 'delivered' then 'succeeded' else 'failed' end,
        a.error_message, 'attempt ' || a.attempt_number, null::text
    from attempts as a
    where a.id = as_id
        and (tenant is null or a.tenant_id = tenant)
    limit 1;
    owner := coalesce(
        tenant,
        (select d.tenant_id from deliveries as d where d.event_id = as_id limit 1),
        (select u.tenant_id from undelivered as u where u.event_id = as_id limit 1),
        (
            select a.tenant_id
            from attempts as a
            where a.event_id = as_id
                and a.id >= uuid_v7_floor(uuid_v7_time(as_id) - interval '10 minutes')
            limit 1
        )
    );
    return query
    select
        'event', e.tenant_id, e.id, e.id, null::uuid, e.accepted_at, null::text, null::text, null::text, null::text
    from unnest(case when owner is null then among else array[owner] end) as t (id)
    cross join lateral (
        select x.tenant_id, x.id, x.accepted_at
        from events as x
        where x.tenant_id = t.id
            and x.id = as_id
        limit 1
    ) as e
    limit 1;
end
$$;
CREATE FUNCTION public.selected_words(selection jsonb, name text) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public'
    AS $$
begin
    return (select array_agg(w.word) from jsonb_array_elements_text(selection -> name) as w (word));
end
$$;
CREATE TABLE public.subscriptions (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    listed_version bigint DEFAULT 0 NOT NULL,
    external_id text,
    target_url text NOT NULL,
    event_types text[] DEFAULT '{}'::text[] NOT NULL,
    filter text,
    description text,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    is_active boolean DEFAULT true NOT NULL,
    disabled_reason text,
    disabled_by text,
    verify_ingest boolean NOT NULL,
    secret bytea NOT NULL,
    older_secrets bytea[] DEFAULT '{}'::bytea[] NOT NULL,
    older_until timestamp with time zone[] DEFAULT '{}'::timestamp with time zone[] NOT NULL,
    header_names text[] DEFAULT '{}'::text[] NOT NULL,
    auth_type text,
    sealed_headers bytea,
    retry_schedule text,
    request_timeout_ms integer,
    least_lease_seconds double precision GENERATED ALWAYS AS ((((request_timeout_ms)::numeric / 1000.0) + (15)::numeric)) STORED,
    rate_limit integer,
    max_in_flight integer,
    is_ordered boolean DEFAULT false NOT NULL,
    skip_after_attempts integer,
    breaker text,
    is_paced boolean GENERATED ALWAYS AS (((rate_limit IS NOT NULL) OR (max_in_flight IS NOT NULL) OR (breaker IS NOT NULL))) STORED NOT NULL,
    notified text,
    changed_by jsonb,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    deleted_at timestamp with time zone,
    ingest jsonb,
    ingest_secret bytea,
    CONSTRAINT subscriptions_active_has_no_reason CHECK ((((disabled_reason IS NULL) AND (disabled_by IS NULL)) OR (NOT is_active))),
    CONSTRAINT subscriptions_auth_known CHECK ((auth_type = ANY (ARRAY['basic'::text, 'bearer'::text]))),
    CONSTRAINT subscriptions_breaker_known CHECK ((breaker = ANY (ARRAY['open'::text, 'throttled'::text, 'recovering'::text]))),
    CONSTRAINT subscriptions_headers_sealed CHECK (((sealed_headers IS NOT NULL) = ((auth_type IS NOT NULL) OR (cardinality(header_names) > 0)))),
    CONSTRAINT subscriptions_ingest_has_its_secret CHECK (((ingest_secret IS NULL) OR (ingest ? 'provider'::text))),
    CONSTRAINT subscriptions_max_in_flight_positive CHECK ((max_in_flight > 0)),
    CONSTRAINT subscriptions_notified_known CHECK ((notified = ANY (ARRAY['failing'::text, 'disabled'::text]))),
    CONSTRAINT subscriptions_older_few CHECK ((cardinality(older_secrets) <= 4)),
    CONSTRAINT subscriptions_older_paired CHECK ((cardinality(older_secrets) = cardinality(older_until))),
    CONSTRAINT subscriptions_rate_limit_positive CHECK ((rate_limit > 0)),
    CONSTRAINT subscriptions_request_timeout_range CHECK (((request_timeout_ms >= 1000) AND (request_timeout_ms <= 60000))),
    CONSTRAINT subscriptions_skip_after_positive CHECK ((skip_after_attempts > 0)),
    CONSTRAINT subscriptions_version_positive CHECK ((version > 0))
);
CREATE FUNCTION public.subscription_document(s public.subscriptions) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'public'
    RETURN jsonb_build_object('external_id', (s).external_id, 'target_url', (s).target_url, 'event_types', (s).event_types, 'filter', ((s).filter)::jsonb, 'description', (s).description, 'metadata', (s).metadata, 'is_active', (s).is_active, 'disabled_reason', COALESCE((s).disabled_reason, (s).disabled_by), 'verify_ingest', (s).verify_ingest, 'headers', (s).header_names, 'auth', (s).auth_type, 'retry_schedule', (s).retry_schedule, 'request_timeout_ms', (s).request_timeout_ms, 'rate_limit', (s).rate_limit, 'max_in_flight', (s).max_in_flight, 'is_ordered', (s).is_ordered, 'skip_after_attempts', (s).skip_after_attempts, 'ingest', (s).ingest);
CREATE FUNCTION public.system_event_types() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public'
    RETURN ARRAY['subscription.failing'::text, 'subscription.disabled'::text, 'subscription.recovered'::text, 'delivery.failed'::text, 'replay.finished'::text];
CREATE TABLE public.tenants (
    id uuid NOT NULL,
    external_id text,
    name text NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    max_subscriptions integer,
    publish_per_second integer,
    subscription_count integer DEFAULT 0 NOT NULL,
    subscriptions_version bigint DEFAULT 1 NOT NULL,
    schemas_changed_at timestamp with time zone,
    changed_by jsonb,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    deleted_at timestamp with time zone,
    CONSTRAINT tenants_external_id_length CHECK (((char_length(external_id) >= 1) AND (char_length(external_id) <= 255))),
    CONSTRAINT tenants_max_subscriptions_positive CHECK ((max_subscriptions > 0)),
    CONSTRAINT tenants_name_length CHECK (((char_length(name) >= 1) AND (char_length(name) <= 100))),
    CONSTRAINT tenants_publish_per_second_positive CHECK ((publish_per_second > 0)),
    CONSTRAINT tenants_subscription_count_counted CHECK ((subscription_count >= 0)),
    CONSTRAINT tenants_subscriptions_version_positive CHECK ((subscriptions_version > 0))
);
CREATE FUNCTION public.tenant_document(t public.tenants) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'public'
    RETURN jsonb_build_object('name', (t).name, 'external_id', (t).external_id, 'metadata', (t).metadata, 'max_subscriptions', (t).max_subscriptions, 'publish_per_second', (t).publish_per_second);
CREATE FUNCTION public.tenants_delete_1(tenant uuid, actor jsonb) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'public'
    AS $$
begin
    update tenants as t
    set
        deleted_at = now(),
        updated_at = greatest(now(), t.updated_at + interval '1 microsecond'),
        changed_by = actor
    where t.id = tenant
        and t.deleted_at is null;
    if not found then
        return false;
    end if;
    update api_keys as k
    set
        revoked_at = now(),
        changed_by = actor
    where k.tenant_id = tenant
        and k.scope is not null
        and k.revoked_at is null;
    return true;
end
$$;
CREATE FUNCTION public.tenants_end_subscriptions_1(tenant uuid, most_subscriptions bigint, stamp bigint, most_counted bigint, actor jsonb, OUT ended bigint, OUT cancelled bigint) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET jit TO 'off'
    AS $$
declare
    ids uuid[];
begin
    -- The lock waits for subscriptions that were being created during the deletion.
    perform 1
    from tenants as t
    where t.id = tenant
        and t.deleted_at is not null
    for no key update;
    if not found then
        raise 'tenant % is not deleted', tenant;
    end if;
    ids := array(
        select s.id
        from subscriptions as s
        where s.tenant_id = tenant
            and s.deleted_at is null
        order by s.id
        limit most_subscriptions
    );
    update subscriptions as s
    set
        version = greatest(s.version + 1, stamp),
        updated_at = now(),
        deleted_at = now(),
        changed_by = actor
    where s.tenant_id = tenant
        and s.id = any(ids)
        and s.deleted_at is null;
    get diagnostics ended = row_count;
    select count(*)
    into cancelled
    from (
        select 1
        from unnest(ids) as i (id)
        cross join lateral (
            select 1
            from deliveries as d
            where uuid_hash_extended(d.subscription_id, 0) = uuid_hash_extended(i.id, 0)
                and d.subscription_id = i.id
                and d.next_attempt_at < 'infinity'
            union all
            select 1
            from deliveries as d
            where d.subscription_id = i.id
                and d.ordering_key is not null
                and d.next_attempt_at = 'infinity'
        ) as d
        limit most_counted + 1
    ) as c;
end
$$;
CREATE FUNCTION public.tenants_write_1(new_id uuid, wanted_external_id text, wanted_name text, wanted_metadata jsonb, wanted_max_subscriptions integer, wanted_publish_per_second integer, may_replace boolean, actor jsonb, OUT written public.tenants, OUT is_new boolean) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public'
    AS $$
declare
    found_id uuid;
begin
    is_new := not may_replace;
    if may_replace then
        -- If the insert waits for another one, the second round finds its row.
        for round in 1..2 loop
            select t.id
            into found_id
            from tenants as t
            where t.external_id = wanted_external_id
                and t.deleted_at is null
            for no key update;
            exit when found;
            insert into tenants (id, external_id, name, metadata, max_subscriptions, publish_per_second, changed_by)
            values (
                new_id, wanted_external_id, wanted_name, wanted_metadata, wanted_max_subscriptions,
                wanted_publish_per_second, actor
            )
            on conflict (external_id) where deleted_at is null do nothing;
            is_new := found;
            exit when found;
        end loop;
    end if;
    if found_id is not null then
        update tenants as t
        set
            name = wanted_name,
            metadata = wanted_metadata,
            max_subscriptions = wanted_max_subscriptions,
            publish_per_second = wanted_publish_per_second,
            updated_at = greatest(now(), t.updated_at + interval '1 microsecond'),
            changed_by = actor
        where t.id = found_id
            and (
                t.name <> wanted_name
                or t.metadata <> wanted_metadata
                or t.max_subscriptions is distinct from wanted_max_subscriptions
                or t.publish_per_second is distinct from wanted_publish_per_second
            );
    elsif not may_replace then
        insert into tenants (id, external_id, name, metadata, max_subscriptions, publish_per_second, changed_by)
        values (
            new_id, wanted_external_id, wanted_name, wanted_metadata, wanted_max_subscriptions,
            wanted_publish_per_second, actor
        );
    end if;
    written := (
        select t
        from tenants as t
        where t.id = coalesce(found_id, new_id)
    );
end
$$;
CREATE FUNCTION public.upkeep_advance_groups_1(after_subscription uuid, after_key text, most_groups bigint, most_rows bigint, OUT looked_at bigint, OUT released bigint, OUT last_subscription uuid, OUT last_key text) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET jit TO 'off'
    AS $$
declare
    at constant timestamptz := now();
    heads tid[];
    dissolved uuid[];
    dissolved_keys text[];
    left_groups bigint;
begin
    looked_at := 0;
    released := 0;
    if not pg_try_advisory_xact_lock(hashtext(current_schema() || '.advance')) then
        looked_at := null;
        return;
    end if;
    with recursive head as (
        (
            select d.subscription_id, d.ordering_key, d.tenant_id, d.ctid as tid, d.next_attempt_at, 1 as number
            from deliveries as d
            where d.ordering_key is not null
                and (d.subscription_id, d.ordering_key) > (after_subscription, after_key)
            order by d.subscription_id, d.ordering_key, d.position
            limit 1
        )
        union all
        select next.subscription_id, next.ordering_key, next.tenant_id, next.tid, next.next_attempt_at, h.number + 1
        from head as h
        cross join lateral (
            select d.subscription_id, d.ordering_key, d.tenant_id, d.ctid as tid, d.next_attempt_at
            from deliveries as d
            where d.ordering_key is not null
                and (d.subscription_id, d.ordering_key) > (h.subscription_id, h.ordering_key)
            order by d.subscription_id, d.ordering_key, d.position
            limit 1
        ) as next
        where h.number < most_groups
    ),
    judged as materialized (
        select h.subscription_id, h.ordering_key, h.tid, h.next_attempt_at, h.number, coalesce(s.is_ordered, false) as is_ordered
        from head as h
        left join lateral (
            select x.is_ordered
            from subscriptions as x
            where x.tenant_id = h.tenant_id
                and x.id = h.subscription_id
                and x.deleted_at is null
            limit 1
        ) as s on true
    )
    select
        coalesce(array_agg(j.tid) filter (where j.is_ordered and j.next_attempt_at = 'infinity'), '{}'),
        coalesce(array_agg(j.subscription_id) filter (where not j.is_ordered), '{}'),
        array_agg(j.ordering_key) filter (where not j.is_ordered),
        count(*),
        (array_agg(j.subscription_id order by j.number desc))[1],
        (array_agg(j.ordering_key order by j.number desc))[1]
    into heads, dissolved, dissolved_keys, looked_at, last_subscription, last_key
    from judged as j;
    update deliveries as d
    set next_attempt_at = at
    where d.ctid = any(array(
        select x.ctid
        from deliveries as x
        where x.ctid = any(heads)
            and x.next_attempt_at = 'infinity'
        for update skip locked
    ));
    get diagnostics released = row_count;
    if cardinality(dissolved) > 0 then
        update deliveries as d
        set
            next_attempt_at = least(d.next_attempt_at, at),
            ordering_key = null,
            position = null
        where d.ctid = any(array(
            select w.tid
            from unnest(dissolved, dissolved_keys) as g (subscription_id, ordering_key)
            cross join lateral (
                select x.ctid as tid
                from deliveries as x
                where x.subscription_id = g.subscription_id
                    and x.ordering_key = g.ordering_key
                    and x.next_attempt_at = 'infinity'
                limit most_rows
                for update skip locked
            ) as w
            limit most_rows
        ));
        get diagnostics left_groups = row_count;
        released := released + left_groups;
    end if;
end
$$;
CREATE FUNCTION public.upkeep_report_1(warn_after double precision[], report_interval double precision, OUT checked bigint, OUT raised bigint) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public'
    AS $$
declare
    most_checked constant integer := 500;
    most_raised constant integer := 20;
    at constant timestamptz := now();
    first_warning constant timestamptz := at - make_interval(secs => (
        select min(w.seconds)
        from unnest(warn_after) as w (seconds)
    ));
    change record;
    full_at bigint;
begin
    checked := 0;
    raised := 0;
    if not pg_try_advisory_xact_lock(hashtext(current_schema() || '.report')) then
        return;
    end if;
    full_at := raised + most_raised;
    for change in
        select h.subscription_id, h.tenant_id, h.failing_since, h.failures, passed.warnings
        from subscription_health as h
        inner join subscriptions as s
            on s.tenant_id = h.tenant_id
            and s.id = h.subscription_id
        cross join lateral (
            select count(*)::integer as warnings
            from unnest(warn_after) as w (seconds)
            where h.failing_since <= at - make_interval(secs => w.seconds)
        ) as passed
        where h.failing_since <= first_warning
            and passed.warnings > h.warnings
            and s.is_active
            and s.deleted_at is null
        order by h.failing_since
        limit most_checked
        for no key update of h, s skip locked
    loop
        exit when raised = full_at;
        checked := checked + 1;
        raised := raised + events_raise_1(
            change.tenant_id,
            change.subscription_id,
            'subscription.failing',
            jsonb_build_object(
                'failing_since', rfc3339(change.failing_since), 'failures', change.failures, 'warning', change.warnings
            )
        )::integer;
        update subscription_health
        set warnings = change.warnings
        where subscription_id = change.subscription_id;
        update subscriptions
        set notified = 'failing'
        where id = change.subscription_id;
    end loop;
    full_at := raised + most_raised;
    for change in
        select s.id, s.tenant_id, s.disabled_reason
        from subscriptions as s
        where s.disabled_reason is not null
            and s.notified is distinct from 'disabled'
            and s.deleted_at is null
        order by s.id
        limit most_checked
        for no key update of s skip locked
    loop
        exit when raised = full_at;
        checked := checked + 1;
        raised := raised + events_raise_1(
            change.tenant_id, change.id, 'subscription.disabled', jsonb_build_object('reason', change.disabled_reason)
        )::integer;
        update subscriptions
        set notified = 'disabled'
        where id = change.id;
    end loop;
    full_at := raised + most_raised;
    for change in
        select s.id, s.tenant_id, s.notified
        from subscriptions as s
        where s.notified is not null
            and s.is_active
            and s.deleted_at is null
            and not exists (
                select 1
                from subscription_health as h
                where h.subscription_id = s.id
            )
        order by s.id
        limit most_checked
        for no key update of s skip locked
    loop
        exit when raised = full_at;
        checked := checked + 1;
        raised := raised + events_raise_1(
            change.tenant_id, change.id, 'subscription.recovered', jsonb_build_object('was', change.notified)
        )::integer;
        update subscriptions
        set notified = null
        where id = change.id;
    end loop;
    full_at := raised + most_raised;
    for change in
        select
            u.subscription_id, u.tenant_id, u.failed, u.expired, u.skipped, u.last_event_id, u.last_reason,
            exists (
                select 1
                from subscriptions as s
                where s.tenant_id = u.tenant_id
                    and s.id = u.subscription_id
                    and s.deleted_at is null
            ) as is_there
        from unreported_failures as u
        where u.failed > 0
            and (u.reported_at is null or u.reported_at <= at - make_interval(secs => report_interval))
        order by u.subscription_id
        limit most_checked
        for update skip locked
    loop
        exit when raised = full_at;
        checked := checked + 1;
        if not change.is_there then
            delete from unreported_failures
            where subscription_id = change.subscription_id;
            continue;
        end if;
        raised := raised + events_raise_1(
            change.tenant_id,
            change.subscription_id,
            'delivery.failed',
            jsonb_build_object(
                'failed', change.failed,
                'statuses', jsonb_strip_nulls(jsonb_build_object(
                    'failed', nullif(change.failed - change.expired - change.skipped, 0),
                    'expired', nullif(change.expired, 0),
                    'skipped', nullif(change.skipped, 0)
                )),
                'last_webhook_id', change.last_event_id,
                'last_reason', change.last_reason
            )
        )::integer;
        update unreported_failures
        set
            failed = 0,
            expired = 0,
            skipped = 0,
            reported_at = at
        where subscription_id = change.subscription_id;
    end loop;
end
$$;
CREATE FUNCTION public.uuid_v7(at timestamp with time zone DEFAULT clock_timestamp()) RETURNS uuid
    LANGUAGE sql PARALLEL SAFE
    SET search_path TO 'public'
    RETURN (((lpad(to_hex((floor((EXTRACT(epoch FROM at) * (1000)::numeric)))::bigint), 12, '0'::text) || '7'::text) || substr(replace((gen_random_uuid())::text, '-'::text, ''::text), 14, 19)))::uuid;
CREATE FUNCTION public.uuid_v7_floor(at timestamp with time zone) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN ((lpad(to_hex((GREATEST(floor((EXTRACT(epoch FROM at) * (1000)::numeric)), (0)::numeric))::bigint), 12, '0'::text) || repeat('0'::text, 20)))::uuid;
CREATE FUNCTION public.uuid_v7_ordered(at timestamp with time zone) RETURNS uuid
    LANGUAGE plpgsql PARALLEL SAFE
    SET search_path TO 'public'
    AS $$
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
CREATE FUNCTION public.uuid_v7_time(id uuid) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN to_timestamp((((((('x0000'::text || replace("left"((id)::text, 13), '-'::text, ''::text)))::bit(64))::bigint)::numeric / 1000.0))::double precision);
CREATE FUNCTION public.write_audit(actor jsonb, tenant uuid, action text, object_kind text, object uuid, document_before jsonb, document_after jsonb) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public'
    AS $$
declare
    at constant timestamptz := clock_timestamp();
begin
    insert into audit (
        tenant_id, id, at, actor_kind, actor_key, action, object_kind, object_id, before, after, request_id
    )
    values (
        tenant,
        uuid_v7(at),
        at,
        coalesce(actor ->> 'kind', 'postrider'),
        (actor ->> 'key')::uuid,
        object_kind || '.' || action,
        object_kind,
        object,
        changed_entries(document_before, document_after),
        changed_entries(document_after, document_before),
        actor ->> 'request_id'
    );
end
$$;
CREATE AGGREGATE public.histogram_sum(bigint[]) (
    SFUNC = public.histogram_add,
    STYPE = bigint[],
    FINALFUNC = public.histogram,
    COMBINEFUNC = public.histogram_add,
    PARALLEL = safe
);
CREATE TABLE public.attempts (
    tenant_id uuid NOT NULL,
    subscription_id uuid NOT NULL,
    id uuid NOT NULL,
    event_id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    written_at timestamp with time zone DEFAULT now() NOT NULL,
    attempt_number integer NOT NULL,
    duration_ms integer,
    status_code smallint,
    outcome text NOT NULL,
    event_type text,
    error_message text,
    response_body bytea,
    remote_address inet,
    trigger text,
    detail jsonb,
    CONSTRAINT attempts_body_length CHECK ((octet_length(response_body) <= 16384)),
    CONSTRAINT attempts_success_has_no_error CHECK (((outcome = 'delivered'::text) = (error_message IS NULL)))
)
PARTITION BY RANGE (id);
CREATE VIEW analytics.attempts AS
 SELECT a.created_at,
    a.written_at,
    a.tenant_id,
    t.external_id AS tenant,
    a.id,
    a.event_id AS webhook_id,
    a.subscription_id,
    s.external_id AS subscription,
    a.event_type,
    a.attempt_number,
    COALESCE(a.trigger, 'fresh'::text) AS trigger,
    a.outcome,
    (a.outcome = 'delivered'::text) AS is_success,
    (a.status_code)::integer AS status_code,
    a.duration_ms,
    a.error_message,
    a.remote_address
   FROM ((public.attempts a
     LEFT JOIN public.tenants t ON ((t.id = a.tenant_id)))
     LEFT JOIN public.subscriptions s ON (((s.tenant_id = a.tenant_id) AND (s.id = a.subscription_id))))
  WHERE (a.trigger IS DISTINCT FROM 'test'::text);
CREATE TABLE public.deliveries (
    tenant_id uuid NOT NULL,
    event_id uuid NOT NULL,
    subscription_id uuid NOT NULL,
    next_attempt_at timestamp with time zone NOT NULL,
    lease uuid,
    attempts integer DEFAULT 0 NOT NULL,
    free_attempts integer DEFAULT 0 NOT NULL,
    payload_bytes integer NOT NULL,
    expires_at timestamp with time zone,
    ordering_key text,
    "position" bigint,
    trigger text,
    CONSTRAINT deliveries_attempts_counted CHECK (((free_attempts >= 0) AND (free_attempts <= attempts))),
    CONSTRAINT deliveries_group_has_position CHECK (((ordering_key IS NULL) = ("position" IS NULL))),
    CONSTRAINT deliveries_waits_in_a_group CHECK (((next_attempt_at < 'infinity'::timestamp with time zone) OR ((ordering_key IS NOT NULL) AND (lease IS NULL))))
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='2000', autovacuum_vacuum_insert_scale_factor='0', autovacuum_vacuum_insert_threshold='10000', autovacuum_vacuum_cost_delay='0', vacuum_truncate=off);
CREATE VIEW public.queued_deliveries AS
 SELECT d.tenant_id,
    d.event_id,
    d.subscription_id,
        CASE
            WHEN (s.deleted_at IS NOT NULL) THEN 'cancelled'::text
            WHEN ((d.lease IS NOT NULL) AND (d.next_attempt_at > now())) THEN 'sending'::text
            WHEN (d.expires_at = '-infinity'::timestamp with time zone) THEN 'cancelled'::text
            WHEN (d.expires_at <= now()) THEN 'expired'::text
            WHEN (held.reason IS NOT NULL) THEN 'held'::text
            ELSE 'pending'::text
        END AS status,
        CASE
            WHEN (s.deleted_at IS NOT NULL) THEN 'subscription_deleted'::text
            WHEN ((d.lease IS NOT NULL) AND (d.next_attempt_at > now())) THEN NULL::text
            WHEN (d.expires_at = '-infinity'::timestamp with time zone) THEN 'requested'::text
            WHEN (d.expires_at <= now()) THEN 'expires_at'::text
            ELSE held.reason
        END AS reason,
    d.attempts,
        CASE
            WHEN ((s.deleted_at IS NULL) AND (d.lease IS NULL) AND (held.reason IS NULL)) THEN d.next_attempt_at
            ELSE NULL::timestamp with time zone
        END AS next_attempt_at
   FROM ((public.deliveries d
     CROSS JOIN LATERAL ( SELECT x.deleted_at,
            x.is_active,
            x.breaker,
            x.rate_limit,
            x.max_in_flight
           FROM public.subscriptions x
          WHERE ((x.tenant_id = d.tenant_id) AND (x.id = d.subscription_id))
         LIMIT 1) s)
     CROSS JOIN LATERAL ( SELECT
                CASE
                    WHEN (NOT s.is_active) THEN 'disabled'::text
                    WHEN (d.next_attempt_at = 'infinity'::timestamp with time zone) THEN 'ordered'::text
                    WHEN (d.next_attempt_at > now()) THEN NULL::text
                    WHEN (s.breaker = 'open'::text) THEN 'breaker_open'::text
                    WHEN (s.breaker = 'throttled'::text) THEN 'retry_after'::text
                    WHEN (s.breaker = 'recovering'::text) THEN 'recovering'::text
                    WHEN (d.next_attempt_at > (now() - '00:00:01'::interval)) THEN NULL::text
                    WHEN (s.rate_limit IS NOT NULL) THEN 'rate_limit'::text
                    WHEN (s.max_in_flight IS NOT NULL) THEN 'concurrency'::text
                    ELSE NULL::text
                END AS reason) held);
CREATE TABLE public.undelivered (
    tenant_id uuid NOT NULL,
    event_id uuid NOT NULL,
    subscription_id uuid NOT NULL,
    status text NOT NULL,
    reason text NOT NULL,
    attempts integer NOT NULL,
    ended_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT undelivered_status_known CHECK ((status = ANY (ARRAY['failed'::text, 'cancelled'::text, 'expired'::text, 'skipped'::text])))
);
CREATE VIEW public.all_deliveries AS
 SELECT q.tenant_id,
    q.event_id,
    q.subscription_id,
    q.status,
    q.reason,
    q.attempts,
    q.next_attempt_at
   FROM public.queued_deliveries q
UNION ALL
 SELECT u.tenant_id,
    u.event_id,
    u.subscription_id,
    u.status,
    u.reason,
    u.attempts,
    NULL::timestamp with time zone AS next_attempt_at
   FROM public.undelivered u
UNION ALL
 SELECT a.tenant_id,
    a.event_id,
    a.subscription_id,
    'succeeded'::text AS status,
    NULL::text AS reason,
    max(a.attempt_number) AS attempts,
    NULL::timestamp with time zone AS next_attempt_at
   FROM public.attempts a
  WHERE ((a.outcome = 'delivered'::text) AND (a.trigger IS DISTINCT FROM 'test'::text) AND (NOT (EXISTS ( SELECT 1
           FROM public.deliveries d
          WHERE ((d.event_id = a.event_id) AND (d.subscription_id = a.subscription_id))))) AND (NOT (EXISTS ( SELECT 1
           FROM public.undelivered u
          WHERE ((u.tenant_id = a.tenant_id) AND (u.event_id = a.event_id) AND (u.subscription_id = a.subscription_id))))))
  GROUP BY a.tenant_id, a.event_id, a.subscription_id;
CREATE VIEW analytics.deliveries AS
 SELECT d.tenant_id,
    t.external_id AS tenant,
    d.event_id AS webhook_id,
    d.subscription_id,
    s.external_id AS subscription,
    d.status,
    d.reason,
    d.attempts,
    d.next_attempt_at
   FROM ((public.all_deliveries d
     LEFT JOIN public.tenants t ON ((t.id = d.tenant_id)))
     LEFT JOIN public.subscriptions s ON (((s.tenant_id = d.tenant_id) AND (s.id = d.subscription_id))));
CREATE TABLE public.rollup_hours (
    tenant_id uuid NOT NULL,
    at timestamp with time zone NOT NULL,
    outcome text NOT NULL,
    accepted bigint NOT NULL,
    attempts bigint NOT NULL,
    started bigint NOT NULL,
    first_attempt bigint[] NOT NULL,
    delivery bigint[] NOT NULL
)
WITH (fillfactor='80');
CREATE VIEW analytics.deliveries_per_hour AS
 SELECT r.at AS hour,
    r.tenant_id,
    t.external_id AS tenant,
    (sum(r.accepted))::bigint AS accepted,
    (sum(r.attempts))::bigint AS attempts,
    (COALESCE(sum(r.attempts) FILTER (WHERE (r.outcome = 'delivered'::text)), (0)::numeric))::bigint AS delivered,
    (COALESCE(sum(r.attempts) FILTER (WHERE (r.outcome <> 'delivered'::text)), (0)::numeric))::bigint AS failed,
    (sum(r.started))::bigint AS started,
    public.histogram_percentile(public.histogram_sum(r.first_attempt), (0.50)::double precision) AS first_attempt_p50_ms,
    public.histogram_percentile(public.histogram_sum(r.first_attempt), (0.90)::double precision) AS first_attempt_p90_ms,
    public.histogram_percentile(public.histogram_sum(r.first_attempt), (0.95)::double precision) AS first_attempt_p95_ms,
    public.histogram_percentile(public.histogram_sum(r.first_attempt), (0.99)::double precision) AS first_attempt_p99_ms,
    public.histogram_percentile(public.histogram_sum(r.delivery), (0.50)::double precision) AS delivery_p50_ms,
    public.histogram_percentile(public.histogram_sum(r.delivery), (0.90)::double precision) AS delivery_p90_ms,
    public.histogram_percentile(public.histogram_sum(r.delivery), (0.95)::double precision) AS delivery_p95_ms,
    public.histogram_percentile(public.histogram_sum(r.delivery), (0.99)::double precision) AS delivery_p99_ms,
    public.histogram_sum(r.first_attempt) AS first_attempt_histogram,
    public.histogram_sum(r.delivery) AS delivery_histogram
   FROM (public.rollup_hours r
     LEFT JOIN public.tenants t ON ((t.id = r.tenant_id)))
  WHERE (r.tenant_id <> '00000000-0000-0000-0000-000000000000'::uuid)
  GROUP BY r.at, r.tenant_id, t.external_id;
CREATE TABLE public.rollup_minutes (
    tenant_id uuid NOT NULL,
    at timestamp with time zone NOT NULL,
    outcome text NOT NULL,
    accepted bigint NOT NULL,
    attempts bigint NOT NULL,
    started bigint NOT NULL,
    first_attempt bigint[] NOT NULL,
    delivery bigint[] NOT NULL
)
WITH (fillfactor='80');
CREATE VIEW analytics.deliveries_per_minute AS
 SELECT r.at AS minute,
    r.tenant_id,
    t.external_id AS tenant,
    (sum(r.accepted))::bigint AS accepted,
    (sum(r.attempts))::bigint AS attempts,
    (COALESCE(sum(r.attempts) FILTER (WHERE (r.outcome = 'delivered'::text)), (0)::numeric))::bigint AS delivered,
    (COALESCE(sum(r.attempts) FILTER (WHERE (r.outcome <> 'delivered'::text)), (0)::numeric))::bigint AS failed,
    (sum(r.started))::bigint AS started,
    public.histogram_percentile(public.histogram_sum(r.first_attempt), (0.50)::double precision) AS first_attempt_p50_ms,
    public.histogram_percentile(public.histogram_sum(r.first_attempt), (0.90)::double precision) AS first_attempt_p90_ms,
    public.histogram_percentile(public.histogram_sum(r.first_attempt), (0.95)::double precision) AS first_attempt_p95_ms,
    public.histogram_percentile(public.histogram_sum(r.first_attempt), (0.99)::double precision) AS first_attempt_p99_ms,
    public.histogram_percentile(public.histogram_sum(r.delivery), (0.50)::double precision) AS delivery_p50_ms,
    public.histogram_percentile(public.histogram_sum(r.delivery), (0.90)::double precision) AS delivery_p90_ms,
    public.histogram_percentile(public.histogram_sum(r.delivery), (0.95)::double precision) AS delivery_p95_ms,
    public.histogram_percentile(public.histogram_sum(r.delivery), (0.99)::double precision) AS delivery_p99_ms,
    public.histogram_sum(r.first_attempt) AS first_attempt_histogram,
    public.histogram_sum(r.delivery) AS delivery_histogram
   FROM (public.rollup_minutes r
     LEFT JOIN public.tenants t ON ((t.id = r.tenant_id)))
  WHERE (r.tenant_id <> '00000000-0000-0000-0000-000000000000'::uuid)
  GROUP BY r.at, r.tenant_id, t.external_id;
CREATE TABLE public.rollup_types (
    tenant_id uuid NOT NULL,
    at timestamp with time zone NOT NULL,
    event_type text NOT NULL,
    accepted bigint NOT NULL,
    attempts bigint NOT NULL,
    delivered bigint NOT NULL,
    started bigint NOT NULL,
    first_attempt bigint[] NOT NULL,
    delivery bigint[] NOT NULL
)
WITH (fillfactor='80');
CREATE VIEW analytics.event_types_per_hour AS
 SELECT r.at AS hour,
    r.tenant_id,
    t.external_id AS tenant,
    r.event_type,
    r.accepted,
    r.attempts,
    r.delivered,
    (r.attempts - r.delivered) AS failed,
    r.started,
    public.histogram_percentile(r.first_attempt, (0.50)::double precision) AS first_attempt_p50_ms,
    public.histogram_percentile(r.first_attempt, (0.90)::double precision) AS first_attempt_p90_ms,
    public.histogram_percentile(r.first_attempt, (0.95)::double precision) AS first_attempt_p95_ms,
    public.histogram_percentile(r.first_attempt, (0.99)::double precision) AS first_attempt_p99_ms,
    public.histogram_percentile(r.delivery, (0.50)::double precision) AS delivery_p50_ms,
    public.histogram_percentile(r.delivery, (0.90)::double precision) AS delivery_p90_ms,
    public.histogram_percentile(r.delivery, (0.95)::double precision) AS delivery_p95_ms,
    public.histogram_percentile(r.delivery, (0.99)::double precision) AS delivery_p99_ms,
    r.first_attempt AS first_attempt_histogram,
    r.delivery AS delivery_histogram
   FROM (public.rollup_types r
     LEFT JOIN public.tenants t ON ((t.id = r.tenant_id)))
  WHERE (r.tenant_id <> '00000000-0000-0000-0000-000000000000'::uuid);
CREATE TABLE public.events (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    accepted_at timestamp with time zone DEFAULT now() NOT NULL,
    about uuid,
    fan_out boolean,
    hops smallint,
    event_type text,
    payload bytea NOT NULL,
    content_type text,
    ordering_key text,
    deliver_at timestamp with time zone,
    expires_at timestamp with time zone,
    is_unmatched boolean
)
PARTITION BY RANGE (id);
CREATE VIEW analytics.events AS
 SELECT e.accepted_at,
    e.tenant_id,
    t.external_id AS tenant,
    e.id AS webhook_id,
    e.event_type,
    octet_length(e.payload) AS payload_bytes,
    e.ordering_key,
    e.deliver_at,
    e.expires_at,
    COALESCE(e.is_unmatched, false) AS is_unmatched
   FROM (public.events e
     LEFT JOIN public.tenants t ON ((t.id = e.tenant_id)));
CREATE TABLE public.queue_depth_hours (
    tenant_id uuid NOT NULL,
    at timestamp with time zone NOT NULL,
    pending bigint NOT NULL,
    held bigint NOT NULL,
    is_cut boolean NOT NULL
);
CREATE VIEW analytics.queue_depth_per_hour AS
 SELECT q.at AS hour,
    q.tenant_id,
    t.external_id AS tenant,
    q.pending AS most_pending,
    q.held AS most_held
   FROM (public.queue_depth_hours q
     LEFT JOIN public.tenants t ON ((t.id = q.tenant_id)))
  WHERE (q.tenant_id <> '00000000-0000-0000-0000-000000000000'::uuid);
CREATE TABLE public.queue_depth_minutes (
    tenant_id uuid NOT NULL,
    at timestamp with time zone NOT NULL,
    pending bigint NOT NULL,
    held bigint NOT NULL,
    is_cut boolean NOT NULL,
    took interval
);
CREATE VIEW analytics.queue_depth_per_minute AS
 SELECT q.at AS minute,
    q.tenant_id,
    t.external_id AS tenant,
    q.pending,
    q.held
   FROM (public.queue_depth_minutes q
     LEFT JOIN public.tenants t ON ((t.id = q.tenant_id)))
  WHERE (q.tenant_id <> '00000000-0000-0000-0000-000000000000'::uuid);
CREATE VIEW analytics.subscriptions AS
 SELECT s.tenant_id,
    t.external_id AS tenant,
    s.id AS subscription_id,
    s.external_id AS subscription,
    s.target_url,
    s.event_types,
    s.filter,
    s.description,
    s.metadata,
    s.is_active,
    s.disabled_reason,
    s.breaker,
    s.is_ordered,
    s.rate_limit,
    s.max_in_flight,
    s.created_at,
    s.updated_at,
    s.deleted_at
   FROM (public.subscriptions s
     LEFT JOIN public.tenants t ON ((t.id = s.tenant_id)));
CREATE TABLE public.rollup_subscriptions (
    tenant_id uuid NOT NULL,
    at timestamp with time zone NOT NULL,
    subscription_id uuid NOT NULL,
    event_type text NOT NULL,
    attempts bigint NOT NULL,
    delivered bigint NOT NULL,
    started bigint NOT NULL,
    first_attempt bigint[] NOT NULL,
    delivery bigint[] NOT NULL
)
WITH (fillfactor='80');
CREATE VIEW analytics.subscriptions_per_hour AS
 SELECT r.at AS hour,
    r.tenant_id,
    t.external_id AS tenant,
    r.subscription_id,
    s.external_id AS subscription,
    r.event_type,
    r.attempts,
    r.delivered,
    (r.attempts - r.delivered) AS failed,
    r.started,
    public.histogram_percentile(r.first_attempt, (0.50)::double precision) AS first_attempt_p50_ms,
    public.histogram_percentile(r.first_attempt, (0.90)::double precision) AS first_attempt_p90_ms,
    public.histogram_percentile(r.first_attempt, (0.95)::double precision) AS first_attempt_p95_ms,
    public.histogram_percentile(r.first_attempt, (0.99)::double precision) AS first_attempt_p99_ms,
    public.histogram_percentile(r.delivery, (0.50)::double precision) AS delivery_p50_ms,
    public.histogram_percentile(r.delivery, (0.90)::double precision) AS delivery_p90_ms,
    public.histogram_percentile(r.delivery, (0.95)::double precision) AS delivery_p95_ms,
    public.histogram_percentile(r.delivery, (0.99)::double precision) AS delivery_p99_ms,
    r.first_attempt AS first_attempt_histogram,
    r.delivery AS delivery_histogram
   FROM ((public.rollup_subscriptions r
     LEFT JOIN public.tenants t ON ((t.id = r.tenant_id)))
     LEFT JOIN public.subscriptions s ON (((s.tenant_id = r.tenant_id) AND (s.id = r.subscription_id))));
CREATE VIEW analytics.tenants AS
 SELECT t.id AS tenant_id,
    t.external_id AS tenant,
    t.name,
    t.metadata,
    t.subscription_count,
    t.max_subscriptions,
    t.publish_per_second,
    t.created_at,
    t.updated_at,
    t.deleted_at
   FROM public.tenants t;
CREATE VIEW analytics.totals_per_hour AS
 SELECT r.at AS hour,
    (sum(r.accepted))::bigint AS accepted,
    (sum(r.attempts))::bigint AS attempts,
    (COALESCE(sum(r.attempts) FILTER (WHERE (r.outcome = 'delivered'::text)), (0)::numeric))::bigint AS delivered,
    (COALESCE(sum(r.attempts) FILTER (WHERE (r.outcome <> 'delivered'::text)), (0)::numeric))::bigint AS failed,
    (sum(r.started))::bigint AS started,
    public.histogram_percentile(public.histogram_sum(r.first_attempt), (0.50)::double precision) AS first_attempt_p50_ms,
    public.histogram_percentile(public.histogram_sum(r.first_attempt), (0.90)::double precision) AS first_attempt_p90_ms,
    public.histogram_percentile(public.histogram_sum(r.first_attempt), (0.95)::double precision) AS first_attempt_p95_ms,
    public.histogram_percentile(public.histogram_sum(r.first_attempt), (0.99)::double precision) AS first_attempt_p99_ms,
    public.histogram_percentile(public.histogram_sum(r.delivery), (0.50)::double precision) AS delivery_p50_ms,
    public.histogram_percentile(public.histogram_sum(r.delivery), (0.90)::double precision) AS delivery_p90_ms,
    public.histogram_percentile(public.histogram_sum(r.delivery), (0.95)::double precision) AS delivery_p95_ms,
    public.histogram_percentile(public.histogram_sum(r.delivery), (0.99)::double precision) AS delivery_p99_ms,
    public.histogram_sum(r.first_attempt) AS first_attempt_histogram,
    public.histogram_sum(r.delivery) AS delivery_histogram
   FROM public.rollup_hours r
  WHERE (r.tenant_id = '00000000-0000-0000-0000-000000000000'::uuid)
  GROUP BY r.at;
CREATE VIEW analytics.totals_per_minute AS
 SELECT r.at AS minute,
    (sum(r.accepted))::bigint AS accepted,
    (sum(r.attempts))::bigint AS attempts,
    (COALESCE(sum(r.attempts) FILTER (WHERE (r.outcome = 'delivered'::text)), (0)::numeric))::bigint AS delivered,
    (COALESCE(sum(r.attempts) FILTER (WHERE (r.outcome <> 'delivered'::text)), (0)::numeric))::bigint AS failed,
    (sum(r.started))::bigint AS started,
    public.histogram_percentile(public.histogram_sum(r.first_attempt), (0.50)::double precision) AS first_attempt_p50_ms,
    public.histogram_percentile(public.histogram_sum(r.first_attempt), (0.90)::double precision) AS first_attempt_p90_ms,
    public.histogram_percentile(public.histogram_sum(r.first_attempt), (0.95)::double precision) AS first_attempt_p95_ms,
    public.histogram_percentile(public.histogram_sum(r.first_attempt), (0.99)::double precision) AS first_attempt_p99_ms,
    public.histogram_percentile(public.histogram_sum(r.delivery), (0.50)::double precision) AS delivery_p50_ms,
    public.histogram_percentile(public.histogram_sum(r.delivery), (0.90)::double precision) AS delivery_p90_ms,
    public.histogram_percentile(public.histogram_sum(r.delivery), (0.95)::double precision) AS delivery_p95_ms,
    public.histogram_percentile(public.histogram_sum(r.delivery), (0.99)::double precision) AS delivery_p99_ms,
    public.histogram_sum(r.first_attempt) AS first_attempt_histogram,
    public.histogram_sum(r.delivery) AS delivery_histogram
   FROM public.rollup_minutes r
  WHERE (r.tenant_id = '00000000-0000-0000-0000-000000000000'::uuid)
  GROUP BY r.at;
CREATE VIEW analytics.totals_queue_depth_per_hour AS
 SELECT q.at AS hour,
    q.pending AS most_pending,
    q.held AS most_held,
    q.is_cut
   FROM public.queue_depth_hours q
  WHERE (q.tenant_id = '00000000-0000-0000-0000-000000000000'::uuid);
CREATE VIEW analytics.totals_queue_depth_per_minute AS
 SELECT q.at AS minute,
    q.pending,
    q.held,
    q.is_cut
   FROM public.queue_depth_minutes q
  WHERE (q.tenant_id = '00000000-0000-0000-0000-000000000000'::uuid);
CREATE TABLE public.audit (
    tenant_id uuid,
    id uuid NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    actor_kind text NOT NULL,
    actor_key uuid,
    action text NOT NULL,
    object_kind text NOT NULL,
    object_id uuid NOT NULL,
    before jsonb,
    after jsonb,
    request_id text,
    CONSTRAINT audit_actor_has_its_key CHECK (((actor_kind = ANY (ARRAY['key'::text, 'portal'::text])) OR (actor_key IS NULL))),
    CONSTRAINT audit_actor_kind_known CHECK ((actor_kind = ANY (ARRAY['key'::text, 'portal'::text, 'anonymous'::text, 'command'::text, 'postrider'::text, 'sql'::text])))
);
CREATE VIEW public.delivery_logs AS
 SELECT a.id,
    a.subscription_id,
    a.event_id AS webhook_id,
    a.event_type,
    ( SELECT e.payload
           FROM public.events e
          WHERE ((e.tenant_id = a.tenant_id) AND (e.id = a.event_id))) AS payload,
    a.attempt_number,
    (a.status_code)::integer AS status_code,
    public.readable(a.response_body) AS response_body,
    a.error_message,
    (a.outcome = 'delivered'::text) AS is_success,
    a.created_at,
    COALESCE(a.trigger, 'fresh'::text) AS trigger,
    a.detail
   FROM public.attempts a;
CREATE TABLE public.idempotency_keys (
    tenant_id uuid NOT NULL,
    key text NOT NULL,
    event_id uuid NOT NULL,
    fingerprint bytea NOT NULL,
    CONSTRAINT idempotency_keys_fingerprint_length CHECK ((octet_length(fingerprint) = 32))
);
CREATE TABLE public.ordering_counters (
    tenant_id uuid NOT NULL,
    "position" bigint NOT NULL
);
CREATE TABLE public.outbox (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    event_type text,
    payload bytea NOT NULL,
    subscription_id uuid,
    idempotency_key text,
    fingerprint bytea,
    ordering_key text,
    deliver_at timestamp with time zone,
    expires_at timestamp with time zone,
    CONSTRAINT outbox_key_has_fingerprint CHECK (((idempotency_key IS NULL) = (fingerprint IS NULL))),
    CONSTRAINT outbox_times_have_four_digits CHECK ((((EXTRACT(year FROM (deliver_at AT TIME ZONE 'UTC'::text)) >= (1)::numeric) AND (EXTRACT(year FROM (deliver_at AT TIME ZONE 'UTC'::text)) <= (9999)::numeric)) AND ((EXTRACT(year FROM (expires_at AT TIME ZONE 'UTC'::text)) >= (1)::numeric) AND (EXTRACT(year FROM (expires_at AT TIME ZONE 'UTC'::text)) <= (9999)::numeric))))
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='2000', autovacuum_vacuum_insert_scale_factor='0', autovacuum_vacuum_insert_threshold='10000', autovacuum_vacuum_cost_delay='0', vacuum_truncate=off);
CREATE TABLE public.outbox_lease (
    is_only boolean DEFAULT true NOT NULL,
    holder uuid,
    ends_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    max_payload_bytes integer,
    delivery_lifetime interval,
    CONSTRAINT outbox_lease_is_one_row CHECK (is_only)
);
CREATE TABLE public.owners (
    subscription_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    owner uuid NOT NULL,
    until timestamp with time zone NOT NULL,
    CONSTRAINT owners_until_finite CHECK ((until < 'infinity'::timestamp with time zone))
);
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
CREATE TABLE public.publish_buckets (
    tenant_id uuid NOT NULL,
    tokens double precision NOT NULL,
    filled_at timestamp with time zone NOT NULL
);
CREATE TABLE public.refusals (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    at timestamp with time zone NOT NULL,
    subscription_id uuid,
    key_id uuid,
    status smallint NOT NULL,
    is_own boolean NOT NULL,
    remote_address inet,
    code text NOT NULL,
    detail text NOT NULL,
    route text NOT NULL,
    subscription text,
    event_type text,
    idempotency_key text,
    request_id text NOT NULL,
    beginning bytea,
    CONSTRAINT refusals_beginning_length CHECK ((octet_length(beginning) <= 512))
);
CREATE TABLE public.replay_plans (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    selection jsonb NOT NULL,
    is_to_matching boolean NOT NULL,
    below_id uuid NOT NULL,
    total bigint NOT NULL
);
CREATE TABLE public.replays (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    subscription_id uuid,
    statuses text[] NOT NULL,
    event_types text[] DEFAULT '{}'::text[] NOT NULL,
    after_id uuid NOT NULL,
    below_id uuid NOT NULL,
    selection jsonb,
    is_to_matching boolean DEFAULT false NOT NULL,
    total bigint,
    rate integer NOT NULL,
    status text DEFAULT 'running'::text NOT NULL,
    reached uuid NOT NULL,
    reached_subscription uuid,
    replayed bigint DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    stepped_at timestamp with time zone DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone NOT NULL,
    stepped integer DEFAULT 0 NOT NULL,
    changed_by jsonb,
    ended_at timestamp with time zone,
    CONSTRAINT replays_ended_when_not_running CHECK (((status = 'running'::text) = (ended_at IS NULL))),
    CONSTRAINT replays_has_one_selection CHECK ((((subscription_id IS NULL) = (selection IS NOT NULL)) AND ((selection IS NOT NULL) = (reached_subscription IS NOT NULL)))),
    CONSTRAINT replays_rate_range CHECK (((rate >= 1) AND (rate <= 10000))),
    CONSTRAINT replays_status_known CHECK ((status = ANY (ARRAY['running'::text, 'finished'::text, 'cancelled'::text]))),
    CONSTRAINT replays_statuses_known CHECK (((statuses <@ ARRAY['failed'::text, 'expired'::text, 'skipped'::text, 'cancelled'::text, 'succeeded'::text, 'missed'::text]) AND ((cardinality(statuses) > 0) OR (selection IS NOT NULL))))
);
CREATE TABLE public.replicas (
    id uuid NOT NULL,
    role text NOT NULL,
    version text NOT NULL,
    started_at timestamp with time zone NOT NULL,
    heartbeat_at timestamp with time zone NOT NULL,
    lease_seconds double precision NOT NULL,
    backlog integer NOT NULL,
    CONSTRAINT replicas_role_known CHECK ((role = ANY (ARRAY['serve'::text, 'api'::text, 'worker'::text])))
);
CREATE TABLE public.retired_ids (
    of_table text NOT NULL,
    after_id uuid NOT NULL,
    below_id uuid NOT NULL,
    CONSTRAINT retired_ids_table_known CHECK ((of_table = ANY (ARRAY['idempotency_keys'::text, 'undelivered'::text])))
);
CREATE TABLE public.rollup_progress (
    is_only boolean DEFAULT true NOT NULL,
    folded_until timestamp with time zone DEFAULT now() NOT NULL,
    span interval DEFAULT '00:01:00'::interval NOT NULL,
    CONSTRAINT rollup_progress_is_one_row CHECK (is_only)
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
CREATE TABLE public.unpublished (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    ended_at timestamp with time zone DEFAULT now() NOT NULL,
    code text NOT NULL,
    detail text,
    duplicate_of uuid,
    event_type text,
    payload bytea,
    subscription_id uuid,
    idempotency_key text,
    ordering_key text,
    deliver_at timestamp with time zone,
    expires_at timestamp with time zone,
    CONSTRAINT unpublished_is_refused_or_duplicate CHECK (((code = 'duplicate'::text) = (duplicate_of IS NOT NULL)))
);
CREATE TABLE public.unreported_failures (
    subscription_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    failed bigint NOT NULL,
    expired bigint DEFAULT 0 NOT NULL,
    skipped bigint DEFAULT 0 NOT NULL,
    last_event_id uuid NOT NULL,
    last_reason text NOT NULL,
    reported_at timestamp with time zone
);
ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.attempts
    ADD CONSTRAINT attempts_pkey PRIMARY KEY (tenant_id, subscription_id, id);
ALTER TABLE ONLY public.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.deliveries
    ADD CONSTRAINT deliveries_pkey PRIMARY KEY (event_id, subscription_id);
ALTER TABLE ONLY public.event_types
    ADD CONSTRAINT event_types_name_unique UNIQUE (tenant_id, name);
ALTER TABLE ONLY public.event_types
    ADD CONSTRAINT event_types_pkey PRIMARY KEY (tenant_id, id);
ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (tenant_id, id);
ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (tenant_id, key);
ALTER TABLE ONLY public.ordering_counters
    ADD CONSTRAINT ordering_counters_pkey PRIMARY KEY (tenant_id);
ALTER TABLE ONLY public.outbox_lease
    ADD CONSTRAINT outbox_lease_pkey PRIMARY KEY (is_only);
ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.owners
    ADD CONSTRAINT owners_pkey PRIMARY KEY (subscription_id);
ALTER TABLE ONLY public.publish_buckets
    ADD CONSTRAINT publish_buckets_pkey PRIMARY KEY (tenant_id);
ALTER TABLE ONLY public.queue_depth_hours
    ADD CONSTRAINT queue_depth_hours_pkey PRIMARY KEY (tenant_id, at);
ALTER TABLE ONLY public.queue_depth_minutes
    ADD CONSTRAINT queue_depth_minutes_pkey PRIMARY KEY (tenant_id, at);
ALTER TABLE ONLY public.refusals
    ADD CONSTRAINT refusals_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.replay_plans
    ADD CONSTRAINT replay_plans_pkey PRIMARY KEY (tenant_id, id);
ALTER TABLE ONLY public.replays
    ADD CONSTRAINT replays_pkey PRIMARY KEY (tenant_id, id);
ALTER TABLE ONLY public.replicas
    ADD CONSTRAINT replicas_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.retired_ids
    ADD CONSTRAINT retired_ids_pkey PRIMARY KEY (of_table, below_id);
ALTER TABLE ONLY public.rollup_hours
    ADD CONSTRAINT rollup_hours_pkey PRIMARY KEY (tenant_id, at, outcome);
ALTER TABLE ONLY public.rollup_minutes
    ADD CONSTRAINT rollup_minutes_pkey PRIMARY KEY (tenant_id, at, outcome);
ALTER TABLE ONLY public.rollup_progress
    ADD CONSTRAINT rollup_progress_pkey PRIMARY KEY (is_only);
ALTER TABLE ONLY public.rollup_subscriptions
    ADD CONSTRAINT rollup_subscriptions_pkey PRIMARY KEY (tenant_id, at, subscription_id, event_type);
ALTER TABLE ONLY public.rollup_types
    ADD CONSTRAINT rollup_types_pkey PRIMARY KEY (tenant_id, at, event_type);
ALTER TABLE ONLY public.subscription_health
    ADD CONSTRAINT subscription_health_pkey PRIMARY KEY (subscription_id);
ALTER TABLE ONLY public.subscriptions
    ADD CONSTRAINT subscriptions_id_unique UNIQUE (id);
ALTER TABLE ONLY public.subscriptions
    ADD CONSTRAINT subscriptions_pkey PRIMARY KEY (tenant_id, id);
ALTER TABLE ONLY public.tenants
    ADD CONSTRAINT tenants_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.undelivered
    ADD CONSTRAINT undelivered_pkey PRIMARY KEY (tenant_id, event_id, subscription_id);
ALTER TABLE ONLY public.unpublished
    ADD CONSTRAINT unpublished_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.unreported_failures
    ADD CONSTRAINT unreported_failures_pkey PRIMARY KEY (subscription_id);
CREATE INDEX api_keys_revoked ON public.api_keys USING btree (revoked_at) WHERE (revoked_at IS NOT NULL);
CREATE INDEX api_keys_scope ON public.api_keys USING btree (id) WHERE (scope IS NOT NULL);
CREATE INDEX api_keys_sessions ON public.api_keys USING btree (tenant_id, expires_at) WHERE ((capabilities IS NOT NULL) AND (revoked_at IS NULL));
CREATE INDEX api_keys_sessions_expired ON public.api_keys USING btree (expires_at) WHERE (capabilities IS NOT NULL);
CREATE INDEX api_keys_tenant ON public.api_keys USING btree (tenant_id, id) WHERE (scope IS NOT NULL);
CREATE INDEX attempts_event ON ONLY public.attempts USING btree (event_id, subscription_id);
CREATE INDEX attempts_time ON ONLY public.attempts USING brin (id uuid_minmax_multi_ops, written_at) WITH (pages_per_range='32', autosummarize='on');
CREATE INDEX audit_key ON public.audit USING btree (actor_key, id) WHERE (actor_key IS NOT NULL);
CREATE INDEX audit_object ON public.audit USING btree (object_id, id);
CREATE INDEX audit_tenant ON public.audit USING btree (tenant_id, id);
CREATE INDEX deliveries_expiring ON public.deliveries USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE INDEX deliveries_free ON public.deliveries USING btree (next_attempt_at) WHERE ((lease IS NULL) AND (next_attempt_at < 'infinity'::timestamp with time zone));
CREATE INDEX deliveries_lane ON public.deliveries USING btree (uuid_hash_extended(subscription_id, (0)::bigint), next_attempt_at) WHERE (next_attempt_at < 'infinity'::timestamp with time zone);
CREATE INDEX deliveries_ordered ON public.deliveries USING btree (subscription_id, ordering_key, "position") WHERE (ordering_key IS NOT NULL);
CREATE INDEX events_time ON ONLY public.events USING brin (accepted_at) WITH (pages_per_range='32', autosummarize='on');
CREATE INDEX events_unmatched ON ONLY public.events USING btree (tenant_id, id) WHERE is_unmatched;
CREATE INDEX idempotency_keys_event ON public.idempotency_keys USING btree (event_id);
CREATE INDEX outbox_idempotent ON public.outbox USING btree (tenant_id, idempotency_key) WHERE (idempotency_key IS NOT NULL);
CREATE INDEX outbox_of_tenant ON public.outbox USING btree (tenant_id, id);
CREATE INDEX outbox_ordered ON public.outbox USING btree (tenant_id, ordering_key, id) WHERE (ordering_key IS NOT NULL);
CREATE INDEX queue_depth_hours_at ON public.queue_depth_hours USING btree (at);
CREATE INDEX queue_depth_minutes_at ON public.queue_depth_minutes USING btree (at);
CREATE INDEX refusals_tenant ON public.refusals USING btree (tenant_id, id);
CREATE INDEX replays_running ON public.replays USING btree (stepped_at) WHERE (status = 'running'::text);
CREATE INDEX rollup_hours_at ON public.rollup_hours USING btree (at);
CREATE INDEX rollup_minutes_at ON public.rollup_minutes USING btree (at);
CREATE INDEX rollup_subscriptions_at ON public.rollup_subscriptions USING btree (at);
CREATE INDEX rollup_subscriptions_one ON public.rollup_subscriptions USING btree (subscription_id, at);
CREATE INDEX rollup_types_at ON public.rollup_types USING btree (at);
CREATE INDEX subscription_health_failing ON public.subscription_health USING btree (failing_since) WHERE (failing_since IS NOT NULL);
CREATE INDEX subscriptions_deleted ON public.subscriptions USING btree (deleted_at) WHERE (deleted_at IS NOT NULL);
CREATE UNIQUE INDEX subscriptions_external_id ON public.subscriptions USING btree (tenant_id, external_id) WHERE ((external_id IS NOT NULL) AND (deleted_at IS NULL));
CREATE INDEX subscriptions_listed ON public.subscriptions USING btree (uuid_hash_extended(tenant_id, (0)::bigint), listed_version);
CREATE INDEX subscriptions_live ON public.subscriptions USING btree (tenant_id, id) WHERE (deleted_at IS NULL);
CREATE INDEX subscriptions_of_system_events ON public.subscriptions USING btree (tenant_id, id) WHERE (event_types && public.system_event_types());
CREATE INDEX subscriptions_to_notify ON public.subscriptions USING btree (id) WHERE ((notified IS NOT NULL) OR (disabled_reason IS NOT NULL));
CREATE UNIQUE INDEX tenants_external_id ON public.tenants USING btree (external_id) WHERE (deleted_at IS NULL);
CREATE INDEX tenants_schemas_changed ON public.tenants USING btree (schemas_changed_at) WHERE (schemas_changed_at IS NOT NULL);
CREATE INDEX tenants_to_end ON public.tenants USING btree (id) WHERE ((deleted_at IS NOT NULL) AND (subscription_count > 0));
CREATE INDEX tenants_updated ON public.tenants USING btree (updated_at);
CREATE INDEX undelivered_ended ON public.undelivered USING btree (ended_at);
CREATE INDEX undelivered_event ON public.undelivered USING btree (event_id);
CREATE INDEX undelivered_subscription ON public.undelivered USING btree (subscription_id, event_id);
CREATE INDEX unpublished_ended ON public.unpublished USING brin (ended_at) WITH (pages_per_range='32', autosummarize='on');
CREATE INDEX unpublished_refused ON public.unpublished USING btree (tenant_id, id) WHERE (code <> 'duplicate'::text);
CREATE INDEX unreported_failures_waiting ON public.unreported_failures USING btree (reported_at) WHERE (failed > 0);
CREATE TRIGGER api_keys_created AFTER INSERT ON public.api_keys FOR EACH ROW EXECUTE FUNCTION public.audit_api_key();
CREATE TRIGGER api_keys_revoked AFTER UPDATE ON public.api_keys FOR EACH ROW WHEN (((old.revoked_at IS NULL) AND (new.revoked_at IS NOT NULL))) EXECUTE FUNCTION public.audit_api_key();
CREATE TRIGGER event_types_changed_by AFTER INSERT OR UPDATE ON public.event_types FOR EACH ROW EXECUTE FUNCTION public.audit_event_type();
CREATE TRIGGER event_types_noted AFTER INSERT OR DELETE OR UPDATE ON public.event_types FOR EACH ROW EXECUTE FUNCTION public.note_schema_change();
CREATE TRIGGER replays_cancelled AFTER UPDATE ON public.replays FOR EACH ROW WHEN (((old.status <> new.status) AND (new.status = 'cancelled'::text))) EXECUTE FUNCTION public.audit_replay();
CREATE TRIGGER replays_created AFTER INSERT ON public.replays FOR EACH ROW EXECUTE FUNCTION public.audit_replay();
CREATE TRIGGER subscription_health_copied AFTER INSERT OR DELETE OR UPDATE OF state ON public.subscription_health FOR EACH ROW EXECUTE FUNCTION public.copy_breaker();
CREATE TRIGGER subscriptions_changed AFTER UPDATE ON public.subscriptions REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.raise_subscriptions_version();
CREATE TRIGGER subscriptions_changed_by AFTER UPDATE ON public.subscriptions FOR EACH ROW WHEN ((old.version <> new.version)) EXECUTE FUNCTION public.audit_subscription();
CREATE TRIGGER subscriptions_created AFTER INSERT ON public.subscriptions REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.raise_subscriptions_version();
CREATE TRIGGER subscriptions_created_by AFTER INSERT ON public.subscriptions FOR EACH ROW EXECUTE FUNCTION public.audit_subscription();
CREATE TRIGGER subscriptions_restarted AFTER UPDATE OF is_active, target_url, deleted_at ON public.subscriptions FOR EACH ROW WHEN (((new.is_active AND (NOT old.is_active)) OR (new.target_url <> old.target_url) OR ((new.deleted_at IS NOT NULL) AND (old.deleted_at IS NULL)))) EXECUTE FUNCTION public.reset_health();
CREATE TRIGGER tenants_changed AFTER UPDATE ON public.tenants FOR EACH ROW WHEN (((old.updated_at <> new.updated_at) OR (old.deleted_at IS DISTINCT FROM new.deleted_at))) EXECUTE FUNCTION public.audit_tenant();
CREATE TRIGGER tenants_created AFTER INSERT ON public.tenants FOR EACH ROW EXECUTE FUNCTION public.audit_tenant();
CREATE TRIGGER undelivered_counted AFTER INSERT ON public.undelivered REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.count_failures();
ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
ALTER TABLE ONLY public.event_types
    ADD CONSTRAINT event_types_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
ALTER TABLE ONLY public.subscriptions
    ADD CONSTRAINT subscriptions_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(id);
