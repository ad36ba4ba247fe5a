-- deliveries/record(deliveries sorted by key, attempts with their delivery's number; seconds, durations in ms)
-- Records outcomes in one commit. A lost lease changes nothing. A delivery cancelled while leased ends as cancelled
-- unless it succeeded. Disables a subscription only at the version that the request was sent to.
create function deliveries_record_1(
    tenant_ids uuid[],
    event_ids uuid[],
    subscription_ids uuid[],
    tokens uuid[],
    steps text[],
    delays double precision[],
    attempt_changes integer[],
    free_changes integer[],
    statuses text[],
    reasons text[],
    versions bigint[],
    disable_reasons text[],
    delivery_numbers integer[],
    attempt_ids uuid[],
    event_types text[],
    attempt_numbers integer[],
    outcomes text[],
    status_codes smallint[],
    messages text[],
    bodies bytea[],
    remotes text[],
    durations integer[],
    times timestamptz[],
    triggers text[],
    details text[],
    next_triggers text[],
    out recorded integer,
    out disabled uuid[],
    out failing uuid[]
)
language plpgsql
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
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
