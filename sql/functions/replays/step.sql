-- replays/step(tenant, replay, lifetime in seconds; of replays/look: start, how many, end or null, whether it is the
-- last; chosen events)
-- Requeues, moves the replay on and raises the event of its end in one commit. Nulls if another process did.
create function replays_step_1(
    tenant uuid,
    replay uuid,
    lifetime_seconds double precision,
    began uuid,
    room bigint,
    looked_to uuid,
    is_last_look boolean,
    chosen uuid[],
    out written bigint,
    out may_go_on boolean
)
language plpgsql
set search_path from current
as $$
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
