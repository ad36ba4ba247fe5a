-- events/search(tenant or null for all; subscriptions, statuses, event types, idempotency keys, ordering keys, each null
-- for all; accepted since and until, or null; bytes of the payload or null; event below which; most rows, most rows to
-- examine, milliseconds)
-- Newest first. If a limit ended the search, the last row has no event, and says what was examined last. Stable, so that
-- every step sees the same rows. It reads, of the first plan that fits: the idempotency keys; what one subscription has;
-- unmatched events; the queue and ended deliveries, if only pending and failed events are wanted; the tenant's events;
-- the events of all tenants, window by window.
create function events_search_1(
    tenant uuid,
    of_subscriptions uuid[],
    statuses text[],
    types text[],
    keys text[],
    ordering_keys text[],
    since timestamptz,
    until timestamptz,
    needle bytea,
    before_event uuid,
    most_rows bigint,
    most_examined bigint,
    most_ms double precision
)
returns table (examined_event uuid, tenant_id uuid, event_id uuid, status text)
language plpgsql stable
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
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
