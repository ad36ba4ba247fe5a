-- replays/look(tenant, replay, most events)
-- How many deliveries the next step may requeue: the rate of a second less what is due, so that a fresh event waits
-- at most a second; and the next events that are not pending. Nulls if the step is not due. "lateral … limit 1" fixes
-- the join order.
create function replays_look_1(
    tenant uuid,
    replay uuid,
    most_events bigint,
    out room bigint,
    out reached uuid,
    out looked_to uuid,
    out is_last boolean,
    out event_ids uuid[],
    out event_types text[],
    out endings text[],
    out statuses text[],
    out replayed_types text[],
    out wanted_types text[],
    out filter text
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
