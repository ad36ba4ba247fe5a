-- deliveries/claim(
--   $1 most rows to lease, $2 most rows to examine, $3 lease token, $4 lease in seconds, where
--     the subscription asks for no longer one,
--   $5 floor: nothing due before it is looked at, $6 whether to take lapsed leases,
--   $7 attempts allowed, where the subscription has no schedule of its own, $8 events with a smaller id have expired, where their
--     deliveries have no end of their own,
--   busy subscriptions, one element each: $9 ids, $10 rows that there is room for;
--   $11 most rows of any other subscription)
-- Takes due deliveries, oldest first, whatever other claimers hold: leases up to $1 of them
-- to the token, parks those whose subscription has no room here, is disabled or is paced, ends
-- those whose subscription is deleted, that somebody cancelled while they were under way
-- (deliveries/cancel), whose time is over, or whose last attempt was cut off. A row
-- found with a lapsed lease has its cut-off attempt logged as 'unknown'.
-- Returns one row for each leased delivery with all that sending needs, and the summary of
-- the claim on every row; one row without a delivery when there is none. The lines whose
-- head it ended are part of the summary: the next of each is to be released.
-- The condition on 'infinity' repeats the index's own, literally: without it the planner
-- scans and sorts.
-- "lateral … limit 1" fixes the order of the joins: a plan made while a table was empty would
-- otherwise walk the whole table later.
with due as materialized (
    select
        d.ctid as place,
        d.tenant_id,
        d.event_id,
        d.subscription_id,
        d.next_attempt_at,
        d.lease,
        d.attempts,
        d.free_attempts,
        d.expires_at
    from deliveries as d
    where d.next_attempt_at <= now()
        and d.next_attempt_at < 'infinity'
        and d.next_attempt_at >= $5::timestamptz
        and (d.lease is null or ($6::boolean and d.next_attempt_at <= now() - interval '5 seconds'))
    order by d.next_attempt_at
    limit $2::bigint
    for update skip locked
),
judged as materialized (
    select
        due.place,
        due.tenant_id,
        due.event_id,
        due.subscription_id,
        due.next_attempt_at,
        due.lease,
        due.attempts,
        due.free_attempts,
        due.expires_at,
        case
            when s.id is null or s.deleted_at is not null or due.expires_at = '-infinity' then 'cancelled'
            when coalesce(due.expires_at <= now(), due.event_id < $8::uuid) then 'expired'
            when due.lease is not null and due.attempts - due.free_attempts >= coalesce(s.max_attempts, $7::smallint) then 'exhausted'
            when not s.is_active then 'disabled'
            when s.is_paced then 'paced'
            else 'ready'
        end as verdict,
        coalesce(busy.room, $11::integer) as room,
        greatest($4::double precision, s.least_lease_seconds) as lease_seconds
    from due
    left join lateral (
        select b.room
        from unnest($9::uuid[], $10::integer[]) as b (subscription_id, room)
        where b.subscription_id = due.subscription_id
        limit 1
    ) as busy on true
    left join lateral (
        select x.id, x.is_active, x.is_paced, x.deleted_at, x.max_attempts, x.least_lease_seconds
        from subscriptions as x
        where x.tenant_id = due.tenant_id
            and x.id = due.subscription_id
        limit 1
    ) as s on true
),
ranked as materialized (
    select
        judged.place,
        judged.tenant_id,
        judged.event_id,
        judged.subscription_id,
        judged.next_attempt_at,
        judged.lease,
        judged.attempts,
        judged.free_attempts,
        judged.expires_at,
        judged.verdict,
        judged.room,
        judged.lease_seconds,
        row_number() over (partition by judged.verdict, judged.subscription_id order by judged.next_attempt_at) as rank
    from judged
),
chosen as materialized (
    select
        ranked.place,
        ranked.tenant_id,
        ranked.event_id,
        ranked.subscription_id,
        ranked.next_attempt_at,
        ranked.lease,
        ranked.attempts,
        ranked.free_attempts,
        ranked.expires_at,
        ranked.verdict,
        ranked.lease_seconds,
        ranked.verdict = 'ready' and ranked.rank <= ranked.room as sendable,
        sum(case when ranked.verdict = 'ready' and ranked.rank <= ranked.room then 1 else 0 end)
            over (order by ranked.next_attempt_at, ranked.event_id, ranked.subscription_id) as position
    from ranked
),
leased as (
    update deliveries as d
    set
        next_attempt_at = now() + make_interval(secs => c.lease_seconds),
        lease = $3::uuid,
        attempts = d.attempts + 1
    from chosen as c
    where d.ctid = c.place
        and c.sendable
        and c.position <= $1::bigint
    returning d.tenant_id, d.event_id, d.subscription_id, d.attempts, d.free_attempts, d.ordering_key
),
parked as (
    update deliveries as d
    set
        next_attempt_at = 'infinity',
        lease = null,
        held_for = 'in_flight'
    where d.ctid = any(array(
        select c.place
        from chosen as c
        where c.verdict = 'ready'
            and not c.sendable
    ))
    returning d.event_id, d.subscription_id
),
stopped as (
    update deliveries as d
    set
        next_attempt_at = 'infinity',
        lease = null,
        held_for = 'disabled'
    where d.ctid = any(array(select c.place from chosen as c where c.verdict = 'disabled'))
    returning d.event_id, d.subscription_id
),
paced as (
    update deliveries as d
    set
        next_attempt_at = 'infinity',
        lease = null,
        held_for = 'paced'
    where d.ctid = any(array(select c.place from chosen as c where c.verdict = 'paced'))
    returning d.event_id, d.subscription_id
),
ended as (
    delete from deliveries as d
    where d.ctid = any(array(
        select c.place
        from chosen as c
        where c.verdict in ('cancelled', 'expired', 'exhausted')
    ))
    returning d.event_id, d.subscription_id, d.ordering_key
),
buried as (
    insert into undelivered (tenant_id, event_id, subscription_id, status, reason, attempts)
    select
        c.tenant_id,
        c.event_id,
        c.subscription_id,
        case c.verdict when 'exhausted' then 'failed' else c.verdict end,
        case
            when c.verdict = 'cancelled' and c.expires_at = '-infinity' then 'requested'
            when c.verdict = 'cancelled' then 'subscription_deleted'
            when c.verdict = 'expired' and c.expires_at is not null then 'expires_at'
            when c.verdict = 'expired' then 'lifetime'
            else c.verdict
        end,
        c.attempts
    from chosen as c
    where ((c.event_id, c.subscription_id) in (select e.event_id, e.subscription_id from ended as e)) is true
    on conflict (tenant_id, event_id, subscription_id) do update
    set
        status = excluded.status,
        reason = excluded.reason,
        attempts = excluded.attempts,
        ended_at = now()
),
touched as materialized (
    select l.event_id, l.subscription_id
    from leased as l
    union all
    select p.event_id, p.subscription_id
    from parked as p
    union all
    select s.event_id, s.subscription_id
    from stopped as s
    union all
    select p.event_id, p.subscription_id
    from paced as p
    union all
    select e.event_id, e.subscription_id
    from ended as e
),
cut_off as (
    insert into attempts (
        tenant_id, subscription_id, id, event_id, event_type, attempt_number, outcome, error_message, created_at
    )
    select
        c.tenant_id,
        c.subscription_id,
        uuid_v7(begun.at),
        c.event_id,
        (select e.event_type from events as e where e.tenant_id = c.tenant_id and e.id = c.event_id),
        c.attempts,
        'unknown',
        'unknown: the worker was lost before the outcome was recorded',
        begun.at
    from chosen as c
    -- About when it began: its lease was as long as the one that would be given now. After a
    -- long standstill the partition of that day may be gone; yesterday's always stands.
    cross join lateral (
        select greatest(
            now() - interval '12 hours',
            least(now(), c.next_attempt_at - make_interval(secs => c.lease_seconds))
        ) as at
    ) as begun
    where c.lease is not null
        and ((c.event_id, c.subscription_id) in (select t.event_id, t.subscription_id from touched as t)) is true
    returning id
),
summary as materialized (
    select
        (select count(*) from due) as examined,
        -- Everything due before this was taken or is another's.
        coalesce(
            (select min(c.next_attempt_at) from chosen as c where c.sendable and c.position > $1::bigint),
            (select max(due.next_attempt_at) from due)
        ) as reached,
        (select count(*) from cut_off) as cut_off,
        (select count(*) from paced) as paced,
        array(select distinct p.subscription_id from parked as p) as parked,
        -- Lines whose head has ended.
        array(select e.subscription_id from ended as e where e.ordering_key is not null order by e.event_id, e.subscription_id)
            as line_subscriptions,
        array(select e.ordering_key from ended as e where e.ordering_key is not null order by e.event_id, e.subscription_id)
            as line_keys
)
select
    summary.examined,
    now() as looked_at,
    summary.reached,
    summary.cut_off,
    summary.paced,
    summary.parked,
    summary.line_subscriptions,
    summary.line_keys,
    l.tenant_id,
    l.event_id,
    l.subscription_id,
    l.attempts,
    l.free_attempts,
    l.ordering_key,
    e.event_type,
    e.payload,
    s.target_url,
    s.secret,
    s.older_secrets,
    s.older_until,
    s.sealed_headers,
    s.retry_schedule,
    s.request_timeout_ms,
    s.version,
    s.skip_after_attempts
from summary
left join (
    leased as l
    cross join lateral (
        select x.event_type, x.payload
        from events as x
        where x.tenant_id = l.tenant_id
            and x.id = l.event_id
        limit 1
    ) as e
    cross join lateral (
        select
            x.target_url,
            x.secret,
            x.older_secrets,
            x.older_until,
            x.sealed_headers,
            x.retry_schedule,
            x.request_timeout_ms,
            x.version,
            x.skip_after_attempts
        from subscriptions as x
        where x.tenant_id = l.tenant_id
            and x.id = l.subscription_id
        limit 1
    ) as s
) on true;
