-- log/tail(since, until, most rows of each kind)
-- What was accepted, attempted and ended without success, by the time of its transaction, earliest first. Of each kind
-- as many rows as may be, and those of the same time as the last one. Test events are left out.
create function log_tail_1(since timestamptz, until timestamptz, most_rows bigint)
returns table (
    kind text,
    at timestamptz,
    tenant_id uuid,
    id uuid,
    event_id uuid,
    subscription_id uuid,
    event_type text,
    word text,
    reason text,
    number integer,
    status_code integer,
    error_message text,
    duration_ms integer,
    began_at timestamptz,
    trigger text
)
language plpgsql
set search_path from current
set plan_cache_mode = force_custom_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
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
