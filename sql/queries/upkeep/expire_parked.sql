-- upkeep/expire_parked($1 events with a smaller id have expired, $2 most rows of each
--   subscription and reason)
-- Ends parked deliveries whose time is over, which is their own or by the age of their event;
-- those that are due are ended by the claim, and those that somebody cancelled while they
-- were under way (deliveries/cancel). At most $2 that have a time of their own. One
-- process at a time does it. Returns how many deliveries ended.
with turn as materialized (
    select pg_try_advisory_xact_lock(hashtext('postrider.expire_parked')) as mine
),
ended as (
    delete from deliveries as d
    where d.ctid = any(array(
        select over.place
        from parked_subscriptions as p
        cross join lateral (
            select x.ctid as place
            from deliveries as x
            where x.subscription_id = p.subscription_id
                and x.held_for = p.held_for
                and x.event_id < $1::uuid
                and x.next_attempt_at = 'infinity'
                and x.expires_at is null
            order by x.event_id
            limit $2::bigint
            for update skip locked
        ) as over
        where (select turn.mine from turn)
    ))
        or d.ctid = any(array(
            select x.ctid as place
            from deliveries as x
            where x.expires_at <= now()
                and x.expires_at is not null
                and x.next_attempt_at = 'infinity'
                and (select turn.mine from turn)
            order by x.expires_at
            limit $2::bigint
            for update skip locked
        ))
    returning d.tenant_id, d.event_id, d.subscription_id, d.attempts, d.expires_at
),
buried as (
    insert into undelivered (tenant_id, event_id, subscription_id, status, reason, attempts)
    select
        e.tenant_id,
        e.event_id,
        e.subscription_id,
        case when e.expires_at = '-infinity' then 'cancelled' else 'expired' end,
        case
            when e.expires_at = '-infinity' then 'requested'
            when e.expires_at is null then 'lifetime'
            else 'expires_at'
        end,
        e.attempts
    from ended as e
    on conflict (tenant_id, event_id, subscription_id) do nothing
)
select count(*) as ended
from ended;
