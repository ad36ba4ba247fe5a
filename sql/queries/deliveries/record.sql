-- deliveries/record(
--   deliveries, one element each: $1 tenants, $2 event ids, $3 subscriptions, $4 lease
--     tokens, $5 steps ('done', 'retry', 'give_up', 'hand_back', 'park', 'pace'), $6 delays
--     in seconds, $7 changes of attempts, $8 changes of free attempts, $9 reasons or null,
--     $24 versions of the subscriptions they were sent to, $25 why the receiver wants no
--     more ('gone', 'receiver') or null;
--   attempts, one element each: $10 tenants, $11 event ids, $12 subscriptions,
--     $13 ids, $14 event types or null, $15 numbers, $16 outcomes, $17 status codes or null,
--     $18 messages or null, $19 bodies or null, $20 remote addresses or null,
--     $21 durations in ms, $22 times, $23 lease tokens)
-- Records a batch of outcomes in one commit. A row whose lease is no longer the token's
-- changes nothing: its worker came late. Rows are locked in key order. Returns how many
-- deliveries were recorded, the subscriptions that their receiver disabled (those that still
-- are what the request was sent to), and those with a success that were failing until now.
-- One that somebody cancelled while it was under way (deliveries/cancel) ends as cancelled
-- where it ends without success. Whoever changes a leased row and keeps its lease, as cancel
-- does, may do it while the lock is waited for here: the row is at another place then, which
-- the updates below do not see. That is found out by counting, and nothing is recorded: to be
-- repeated at once.
-- "lateral" fixes the order of the joins: a plan made while the queue was empty would
-- otherwise walk all of it later.
with input as materialized (
    select i.tenant_id, i.event_id, i.subscription_id, i.lease, i.step, i.delay, i.attempts, i.free_attempts, i.reason,
        i.version, i.unwanted
    from unnest(
        $1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::double precision[], $7::smallint[], $8::smallint[],
        $9::text[], $24::bigint[], $25::text[]
    ) as i (
        tenant_id, event_id, subscription_id, lease, step, delay, attempts, free_attempts, reason, version, unwanted
    )
    order by i.tenant_id, i.event_id, i.subscription_id
),
matched as materialized (
    select
        d.place,
        i.tenant_id,
        i.event_id,
        i.subscription_id,
        i.lease,
        i.step,
        i.delay,
        i.attempts,
        i.free_attempts,
        i.reason,
        i.version,
        i.unwanted,
        d.attempts + i.attempts as attempts_made,
        d.is_stopped
    from input as i
    cross join lateral (
        select x.ctid as place, x.attempts, x.expires_at is not distinct from '-infinity' as is_stopped
        from deliveries as x
        where x.tenant_id = i.tenant_id
            and x.event_id = i.event_id
            and x.subscription_id = i.subscription_id
            and x.lease = i.lease
        for update
    ) as d
),
logged as (
    insert into attempts (
        tenant_id, event_id, subscription_id, id, event_type, attempt_number, outcome, status_code, error_message,
        response_body, remote_address, duration_ms, created_at
    )
    select
        a.tenant_id,
        a.event_id,
        a.subscription_id,
        a.id,
        a.event_type,
        a.attempt_number,
        a.outcome,
        a.status_code,
        a.error_message,
        a.response_body,
        a.remote_address::inet,
        a.duration_ms,
        a.created_at
    from unnest(
        $10::uuid[], $11::uuid[], $12::uuid[], $13::uuid[], $14::text[], $15::smallint[], $16::text[], $17::smallint[],
        $18::text[], $19::bytea[], $20::text[], $21::integer[], $22::timestamptz[], $23::uuid[]
    ) as a (
        tenant_id, event_id, subscription_id, id, event_type, attempt_number, outcome, status_code, error_message,
        response_body, remote_address, duration_ms, created_at, lease
    )
    where (
        (a.event_id, a.subscription_id, a.lease) in (select m.event_id, m.subscription_id, m.lease from matched as m)
    ) is true
),
ended as (
    delete from deliveries as d
    where d.ctid = any(array(select m.place from matched as m where m.step in ('done', 'give_up')))
    returning 1
),
moved as (
    update deliveries as d
    set
        next_attempt_at = case m.step
            when 'park' then 'infinity'
            when 'pace' then 'infinity'
            -- What is over before its next attempt is looked at when it is over.
            else greatest(now(), least(now() + make_interval(secs => m.delay), d.expires_at))
        end,
        lease = null,
        held_for = case m.step when 'park' then 'in_flight' when 'pace' then 'paced' end,
        attempts = d.attempts + m.attempts,
        free_attempts = d.free_attempts + m.free_attempts
    from matched as m
    where d.ctid = m.place
        and m.step in ('retry', 'hand_back', 'park', 'pace')
    returning 1
),
buried as (
    insert into undelivered (tenant_id, event_id, subscription_id, status, reason, attempts)
    select
        m.tenant_id,
        m.event_id,
        m.subscription_id,
        case
            when m.is_stopped then 'cancelled'
            when m.reason = 'skip_after_attempts' then 'skipped'
            else 'failed'
        end,
        case when m.is_stopped then 'requested' else m.reason end,
        m.attempts_made
    from matched as m
    where m.step = 'give_up'
    on conflict (tenant_id, event_id, subscription_id) do update
    set
        status = excluded.status,
        reason = excluded.reason,
        attempts = excluded.attempts,
        ended_at = now()
),
unwanted as materialized (
    select m.subscription_id, m.version, min(m.unwanted) as reason
    from matched as m
    where m.unwanted is not null
    group by m.subscription_id, m.version
),
disabled as (
    update subscriptions as s
    set
        is_active = false,
        disabled_reason = (select u.reason from unwanted as u where u.subscription_id = s.id and u.version = s.version),
        version = later_version(s.version),
        updated_at = now()
    where s.id = any(array(select u.subscription_id from unwanted as u))
        and ((s.id, s.version) in (select u.subscription_id, u.version from unwanted as u)) is true
        and s.is_active
        and s.deleted_at is null
    returning s.id
)
select
    case
        when (select count(*) from matched) = (select count(*) from ended) + (select count(*) from moved)
            then (select count(*) from matched)
        else changed_meanwhile()
    end as recorded,
    array(select disabled.id from disabled) as disabled,
    array(
        select h.subscription_id
        from subscription_health as h
        where h.subscription_id = any(array(select m.subscription_id from matched as m where m.step = 'done'))
    ) as ailing;
