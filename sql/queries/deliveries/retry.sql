-- deliveries/retry($1 tenant, $2 event, $3 subscription, or null for all of the event,
--   $4 lifetime of a delivery, in seconds, $5 most rows to make sooner, and to make again)
-- Makes deliveries of an event due now: those that wait for their time, and those that ended
-- without success; of one subscription also one that was cancelled or succeeded. What is under way,
-- held, or due is left as it is. Returns how many it is, and whether there is
-- such an event, with a delivery to this subscription; no row where there is no such event.
with hastened as (
    update deliveries as d
    set next_attempt_at = now()
    where d.tenant_id = $1
        and d.event_id = $2
        and d.subscription_id = any(array(
            select x.subscription_id
            from deliveries as x
            where x.tenant_id = $1
                and x.event_id = $2
                and ($3::uuid is null or x.subscription_id = $3)
                and x.lease is null
                and x.next_attempt_at > now()
                and x.next_attempt_at < 'infinity'
            order by x.subscription_id
            limit $5
            for update
        ))
    returning d.subscription_id
),
known as materialized (
    select a.subscription_id, a.status
    from all_deliveries as a
    where a.tenant_id = $1
        and a.event_id = $2
        and ($3::uuid is null or a.subscription_id = $3)
),
ended as materialized (
    select k.subscription_id
    from known as k
    cross join lateral (
        select 1
        from subscriptions as s
        where s.tenant_id = $1
            and s.id = k.subscription_id
            and s.deleted_at is null
        limit 1
    ) as living
    where k.status in ('failed', 'expired', 'skipped')
        or (k.status in ('cancelled', 'succeeded') and $3::uuid is not null)
    order by k.subscription_id
    limit $5
),
again as materialized (
    select owe_again(
        $1,
        array(select $2::uuid from ended),
        array(select ended.subscription_id from ended order by ended.subscription_id),
        make_interval(secs => $4::double precision)
    ) as owed
)
select
    (select count(*) from hastened) + again.owed as retried,
    $3::uuid is null or exists (select 1 from known) as is_known
from events as e
cross join again
where e.tenant_id = $1
    and e.id = $2;
