-- attempts/log_lost(one element each: tenants, events, subscriptions, attempt numbers, approximate start times, triggers
-- of the queue)
-- Logs attempts that were cut off. "lateral … limit 1" fixes the join order, so that events are never scanned.
create function attempts_log_lost_1(
    tenant_ids uuid[],
    event_ids uuid[],
    subscription_ids uuid[],
    numbers integer[],
    times timestamptz[],
    triggers text[]
)
returns void
language plpgsql
set search_path from current
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
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
