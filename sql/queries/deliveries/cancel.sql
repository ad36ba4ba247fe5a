-- deliveries/cancel($1 tenant, $2 event, $3 subscription, or null for all of the event, $4 most
--   rows)
-- Ends what is still owed of an event as cancelled. A delivery that is under way ends so when its attempt
-- has failed: its time is over since ever. Rows are locked in key order, and then found by their
-- key: one that changed while its lock was waited for is at another place. Returns how many
-- ended, how many are under way, whether there is a delivery to this subscription, and the
-- lines whose head may have ended; no row where there is no such event.
with owed as materialized (
    select x.subscription_id, x.lease is not null as is_leased
    from deliveries as x
    where x.tenant_id = $1
        and x.event_id = $2
        and ($3::uuid is null or x.subscription_id = $3)
        -- Not those under way that are marked already.
        and (x.lease is null or x.expires_at is distinct from '-infinity')
    order by x.subscription_id
    limit $4
    for update
),
stopped as (
    update deliveries as d
    set expires_at = '-infinity'
    where d.tenant_id = $1
        and d.event_id = $2
        and d.subscription_id = any(array(select owed.subscription_id from owed where owed.is_leased))
    returning 1
),
ended as (
    delete from deliveries as d
    where d.tenant_id = $1
        and d.event_id = $2
        and d.subscription_id = any(array(select owed.subscription_id from owed where not owed.is_leased))
    returning d.subscription_id, d.attempts, d.ordering_key
),
buried as (
    insert into undelivered (tenant_id, event_id, subscription_id, status, reason, attempts)
    select $1, $2, ended.subscription_id, 'cancelled', 'requested', ended.attempts
    from ended
    on conflict (tenant_id, event_id, subscription_id) do update
    set
        status = excluded.status,
        reason = excluded.reason,
        attempts = excluded.attempts,
        ended_at = now()
)
select
    (select count(*) from ended) as cancelled,
    (select count(*) from stopped) as sending,
    $3::uuid is null or exists (
        select 1
        from all_deliveries as a
        where a.tenant_id = $1
            and a.event_id = $2
            and a.subscription_id = $3
    ) as is_known,
    array(select ended.subscription_id from ended where ended.ordering_key is not null order by ended.subscription_id)
        as line_subscriptions,
    array(select ended.ordering_key from ended where ended.ordering_key is not null order by ended.subscription_id)
        as line_keys
from events as e
where e.tenant_id = $1
    and e.id = $2;
