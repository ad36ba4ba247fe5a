-- replays/requeue(tenant, replay, lifetime in seconds; of replays/pick: where it began, where the next goes on or null at
-- the end; chosen events and subscriptions)
-- Requeues and moves a replay by filter on, in one commit. Nulls if another process did.
create function replays_requeue_1(
    tenant uuid,
    replay uuid,
    lifetime_seconds double precision,
    began_event uuid,
    began_subscription uuid,
    next_event uuid,
    next_subscription uuid,
    event_ids uuid[],
    subscription_ids uuid[],
    out written bigint,
    out may_go_on boolean
)
language plpgsql
set search_path from current
as $$
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
