-- deliveries/cancel(tenant, event, subscription or null for all, most rows, actor)
-- A leased delivery gets expires_at = -infinity and ends if its attempt fails. Nulls if there is no such event.
create function deliveries_cancel_1(
    tenant uuid,
    event uuid,
    subscription uuid,
    most_rows bigint,
    actor jsonb,
    out cancelled bigint,
    out sending bigint,
    out is_known boolean,
    out group_subscriptions uuid[],
    out group_keys text[]
)
language plpgsql
set search_path from current
as $$
declare
    leased uuid[];
    waiting uuid[];
    counted integer[];
    keys text[];
begin
    perform 1
    from events as e
    where e.tenant_id = tenant
        and e.id = event;
    if not found then
        return;
    end if;
    is_known := subscription is null or exists (
        select 1
        from all_deliveries as a
        where a.tenant_id = tenant
            and a.event_id = event
            and a.subscription_id = subscription
    );
    with pending as materialized (
        select x.subscription_id, x.attempts, x.ordering_key, x.lease is not null as is_leased
        from deliveries as x
        where x.tenant_id = tenant
            and x.event_id = event
            and (subscription is null or x.subscription_id = subscription)
            and (x.lease is null or x.expires_at is distinct from '-infinity')
        order by x.subscription_id
        limit most_rows
        for update
    )
    select
        coalesce(array_agg(p.subscription_id) filter (where p.is_leased), '{}'),
        coalesce(array_agg(p.subscription_id) filter (where not p.is_leased), '{}'),
        array_agg(p.attempts) filter (where not p.is_leased),
        array_agg(p.ordering_key) filter (where not p.is_leased)
    into leased, waiting, counted, keys
    from pending as p;
    update deliveries as d
    set expires_at = '-infinity'
    where d.event_id = event
        and d.subscription_id = any(leased);
    get diagnostics sending = row_count;
    delete from deliveries as d
    where d.event_id = event
        and d.subscription_id = any(waiting);
    get diagnostics cancelled = row_count;
    perform deliveries_end_1(
        array_agg(tenant),
        array_agg(event),
        array_agg(w.subscription_id),
        array_agg('cancelled'::text),
        array_agg('requested'::text),
        array_agg(w.attempts)
    )
    from unnest(waiting, counted) as w (subscription_id, attempts);
    select
        coalesce(array_agg(w.subscription_id), '{}'),
        coalesce(array_agg(w.ordering_key), '{}')
    into group_subscriptions, group_keys
    from unnest(waiting, keys) as w (subscription_id, ordering_key)
    where w.ordering_key is not null;
    if cancelled + sending > 0 then
        perform write_audit(
            actor, tenant, 'cancelled', 'event', event, null,
            jsonb_build_object('deliveries', cancelled, 'sending', sending, 'subscription_id', subscription)
        );
    end if;
end
$$;
