-- deliveries/pick(tenant, filters as in replays.selection; event and subscription below which; most rows, most rows to
-- examine, milliseconds)
-- What deliveries/search finds for filters that are kept as a document; without a status the events, whoever got them.
create function deliveries_pick_1(
    tenant uuid,
    selection jsonb,
    before_event uuid,
    before_subscription uuid,
    most_rows bigint,
    most_examined bigint,
    most_ms double precision
)
returns table (examined_event uuid, examined_subscription uuid, event_id uuid, subscription_id uuid)
language plpgsql stable
set search_path from current
as $$
begin
    if selection -> 'status' is null then
        return query
        select e.examined_event, e.examined_subscription, e.event_id, e.subscription_id
        from events_pick_1(
            tenant,
            selected_words(selection, 'event_type'),
            (selection ->> 'since')::timestamptz,
            (selection ->> 'until')::timestamptz,
            before_event,
            most_rows,
            most_examined
        ) as e;
        return;
    end if;
    return query
    select s.examined_event, s.examined_subscription, s.event_id, s.subscription_id
    from deliveries_search_1(
        tenant,
        selected_words(selection, 'subscription_id')::uuid[],
        selected_words(selection, 'status'),
        selected_words(selection, 'reason'),
        selected_words(selection, 'event_type'),
        (selection ->> 'since')::timestamptz,
        (selection ->> 'until')::timestamptz,
        before_event,
        before_subscription,
        most_rows,
        most_examined,
        most_ms
    ) as s;
end
$$;
