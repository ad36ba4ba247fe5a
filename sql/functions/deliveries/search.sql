-- deliveries/search(tenant or null for all; subscriptions, statuses, reasons, event types, each null for all; accepted
-- since and until, or null; event and subscription below which; most rows, most rows to examine, milliseconds)
-- By event and subscription, newest first. If a limit ended the search, the last row has no delivery, and says what was
-- examined last. Stable, so that every step sees the same rows. It reads, of the first plan that fits:
-- all tenants: the queue, ended deliveries and attempts, all three in the order of events;
-- no successes wanted, or one subscription with few attempts: ended deliveries, and the queue where it is short;
-- one subscription: the tenant's events, and of each the delivery to it; else: the tenant's events and all of theirs.
create function deliveries_search_1(
    tenant uuid,
    of_subscriptions uuid[],
    statuses text[],
    reasons text[],
    types text[],
    since timestamptz,
    until timestamptz,
    before_event uuid,
    before_subscription uuid,
    most_rows bigint,
    most_examined bigint,
    most_ms double precision
)
returns table (examined_event uuid, examined_subscription uuid, tenant_id uuid, event_id uuid, subscription_id uuid)
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
