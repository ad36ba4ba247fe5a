-- upkeep/sweep($1 events with a smaller id have expired, $2 most rows)
-- Ends what the claim may not come by for long: deliveries of deleted subscriptions, and
-- parked ones whose time is over. Rows under a live lease are left to their worker. One
-- process at a time does it. Returns how many deliveries ended.
with turn as materialized (
    select pg_try_advisory_xact_lock(hashtext('postrider.sweep')) as mine
),
over as materialized (
    select
        d.ctid as place,
        case when s.deleted_at is not null then 'cancelled' else 'expired' end as status,
        case when s.deleted_at is not null then 'subscription_deleted' else 'lifetime' end as reason
    from deliveries as d
    inner join subscriptions as s
        on s.tenant_id = d.tenant_id
        and s.id = d.subscription_id
    where (select turn.mine from turn)
        and (d.lease is null or d.next_attempt_at < now() - interval '5 seconds')
        and (
            (s.deleted_at is not null and s.swept_at is null)
            or (d.next_attempt_at = 'infinity' and d.event_id < $1::uuid)
        )
    limit $2::bigint
    for update of d skip locked
),
ended as (
    delete from deliveries as d
    using over
    where d.ctid = over.place
    returning d.tenant_id, d.event_id, d.subscription_id, over.status, over.reason, d.attempts
),
buried as (
    insert into undelivered (tenant_id, event_id, subscription_id, status, reason, attempts)
    select e.tenant_id, e.event_id, e.subscription_id, e.status, e.reason, e.attempts
    from ended as e
    on conflict (tenant_id, event_id, subscription_id) do nothing
),
swept as (
    update subscriptions as s
    set swept_at = now()
    where s.deleted_at < now() - interval '5 minutes'
        and s.swept_at is null
        and (select turn.mine from turn)
        and not exists (
            select 1
            from deliveries as d
            where d.tenant_id = s.tenant_id
                and d.subscription_id = s.id
        )
)
select count(*) as ended
from ended;
