-- attempts/search(tenant or null for all; subscriptions, events, event types, outcomes, each null for all; whether they
-- succeeded, or null; status codes and the hundreds of their classes, each null for all; smallest id, id below which;
-- most rows, most rows to examine, milliseconds)
-- Newest first. If a limit ended the search, the last row has only an id: what was examined last. Stable, so that every
-- step sees the same rows. It reads, of the first plan that fits: the attempts of the events, where they are few; the log
-- of the one subscription; the logs of up to 5,000 subscriptions, window by window; windows of all attempts.
create function attempts_search_1(
    tenant uuid,
    of_subscriptions uuid[],
    of_events uuid[],
    types text[],
    outcomes text[],
    succeeded boolean,
    codes integer[],
    classes integer[],
    from_id uuid,
    before_id uuid,
    most_rows bigint,
    most_examined bigint,
    most_ms double precision
)
returns table (is_found boolean, tenant_id uuid, subscription_id uuid, id uuid)
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
