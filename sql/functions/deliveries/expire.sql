-- deliveries/expire(smallest id of an event that has not expired, event id after which to start, most rows)
-- Ends expired deliveries without a live lease. One process at a time, else null. `reached` is null at the end.
create function deliveries_expire_1(
    expired_before uuid,
    after_id uuid,
    most_rows bigint,
    out ended bigint,
    out looked_at bigint,
    out reached uuid
)
language plpgsql
set search_path from current
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set jit = off
as $$
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
