-- replays/pick(tenant, replay, most deliveries, most rows to examine, milliseconds)
-- How many deliveries the next step of a replay by filter may requeue, the next ones that the filter selects with what
-- decides who wants their events, and where the step after it goes on. Nulls if the step is not due.
create function replays_pick_1(
    tenant uuid,
    replay uuid,
    most_deliveries bigint,
    most_examined bigint,
    most_ms double precision,
    out room bigint,
    out is_to_matching boolean,
    out selection jsonb,
    out began_event uuid,
    out began_subscription uuid,
    out looked_event uuid,
    out looked_subscription uuid,
    out event_ids uuid[],
    out subscription_ids uuid[]
)
language plpgsql
set search_path from current
as $$
declare
    at constant timestamptz := now();
    r record;
begin
    select
        x.selection,
        x.is_to_matching,
        x.reached,
        x.reached_subscription,
        x.rate - case when x.stepped_at <= at - interval '900 milliseconds' then 0 else x.stepped end as room
    into r
    from replays as x
    where x.tenant_id = tenant
        and x.id = replay
        and x.status = 'running'
        and x.selection is not null;
    if not found or r.room <= 0 then
        return;
    end if;
    room := r.room;
    is_to_matching := r.is_to_matching;
    selection := r.selection;
    began_event := r.reached;
    began_subscription := r.reached_subscription;
    select
        (array_agg(p.examined_event) filter (where p.event_id is null))[1],
        (array_agg(p.examined_subscription) filter (where p.event_id is null))[1],
        coalesce(array_agg(p.event_id order by p.event_id desc, p.subscription_id desc)
            filter (where p.event_id is not null), '{}'),
        coalesce(array_agg(p.subscription_id order by p.event_id desc, p.subscription_id desc)
            filter (where p.event_id is not null), '{}')
    into looked_event, looked_subscription, event_ids, subscription_ids
    from deliveries_pick_1(
        tenant, r.selection, began_event, began_subscription, least(room, most_deliveries), most_examined, most_ms
    ) as p;
    if looked_event is null and cardinality(event_ids) = least(room, most_deliveries) then
        looked_event := event_ids[cardinality(event_ids)];
        looked_subscription := subscription_ids[cardinality(subscription_ids)];
    end if;
end
$$;
