-- deliveries/retry(tenant, event, subscription or null for all, lifetime in seconds, most rows each, actor)
-- A named subscription's cancelled and successful delivery is requeued too. Nulls if there is no such event.
create function deliveries_retry_1(
    tenant uuid,
    event uuid,
    subscription uuid,
    lifetime_seconds double precision,
    most_rows bigint,
    actor jsonb,
    out retried bigint,
    out is_known boolean
)
language plpgsql
set search_path from current
as $$
declare
    at constant timestamptz := now();
    ended uuid[];
begin
    perform 1
    from events as e
    where e.tenant_id = tenant
        and e.id = event;
    if not found then
        return;
    end if;
    update deliveries as d
    set
        next_attempt_at = at,
        trigger = 'manual',
        -- An expired delivery lives on, as if a sweep had ended it before.
        expires_at = case when d.expires_at <= at then at + make_interval(secs => lifetime_seconds) else d.expires_at end
    where d.tenant_id = tenant
        and d.event_id = event
        and d.subscription_id = any(array(
            select x.subscription_id
            from deliveries as x
            where x.tenant_id = tenant
                and x.event_id = event
                and (subscription is null or x.subscription_id = subscription)
                and x.lease is null
                and (x.next_attempt_at > at or x.expires_at <= at)
                and x.next_attempt_at < 'infinity'
            order by x.subscription_id
            limit most_rows
            for update
        ));
    get diagnostics retried = row_count;
    is_known := subscription is null or exists (
        select 1
        from all_deliveries as a
        where a.tenant_id = tenant
            and a.event_id = event
            and a.subscription_id = subscription
    );
    ended := array(
        select a.subscription_id
        from all_deliveries as a
        cross join lateral (
            select 1
            from subscriptions as s
            where s.tenant_id = tenant
                and s.id = a.subscription_id
                and s.deleted_at is null
            limit 1
        ) as living
        where a.tenant_id = tenant
            and a.event_id = event
            and (subscription is null or a.subscription_id = subscription)
            and (
                a.status in ('failed', 'expired', 'skipped')
                or (a.status in ('cancelled', 'succeeded') and subscription is not null)
            )
        order by a.subscription_id
        limit most_rows
    );
    retried := retried + deliveries_requeue_1(
        tenant,
        array_fill(event, array[cardinality(ended)]),
        ended,
        make_interval(secs => lifetime_seconds),
        'manual'
    );
    if retried > 0 then
        perform write_audit(
            actor, tenant, 'retried', 'event', event, null,
            jsonb_build_object('deliveries', retried, 'subscription_id', subscription)
        );
    end if;
end
$$;
