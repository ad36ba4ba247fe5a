-- deliveries/draw($1 owner, $2 lease token, $3 lease in seconds, where the subscription asks for
--   no longer one, $4 events with a smaller id have expired, where their deliveries have no end
--   of their own; subscriptions, one element each: $5 ids, $6 most rows to lease, $7 the
--   breaker as the owner knows it, or '', $8 how many older ones to pass over)
-- Leases held deliveries of paced subscriptions that the owner alone sends for, those of older
-- events first; none of one whose breaker is not as expected. Where fewer are held than are
-- to be passed over, the last of them counts. Returns the state of each
-- subscription that is owned and active, repeated on each of its leased deliveries with all
-- that sending needs; one row without a delivery where there is none.
-- "lateral … limit 1" fixes the order of the joins: a plan made while a table was empty would
-- otherwise walk the whole table later.
with asked as materialized (
    select
        a.subscription_id,
        s.tenant_id,
        s.rate_limit,
        s.max_in_flight,
        s.breaker,
        s.least_lease_seconds,
        case when coalesce(s.breaker, '') = a.breaker then a.most else 0 end as most,
        a.passed_over
    from unnest($5::uuid[], $6::integer[], $7::text[], $8::integer[])
        as a (subscription_id, most, breaker, passed_over)
    cross join lateral (
        select x.tenant_id, x.rate_limit, x.max_in_flight, x.breaker, x.least_lease_seconds
        from subscriptions as x
        where x.id = a.subscription_id
            and x.is_active
            and x.deleted_at is null
        limit 1
    ) as s
    where exists (
        select 1
        from paces as p
        where p.subscription_id = a.subscription_id
            and p.owner = $1::uuid
            and p.until > now()
    )
),
held as materialized (
    select newest.place, greatest($3::double precision, a.least_lease_seconds) as lease_seconds
    from asked as a
    cross join lateral (
        select oldest.place
        from (
            select h.ctid as place, h.event_id
            from deliveries as h
            where h.subscription_id = a.subscription_id
                and h.held_for = 'paced'
                and coalesce(h.expires_at > now(), h.event_id >= $4::uuid)
                and h.next_attempt_at = 'infinity'
            order by h.event_id
            limit a.most + a.passed_over
            for update skip locked
        ) as oldest
        order by oldest.event_id desc
        limit a.most
    ) as newest
),
leased as (
    update deliveries as d
    set
        next_attempt_at = now() + make_interval(secs => held.lease_seconds),
        lease = $2::uuid,
        attempts = d.attempts + 1,
        held_for = null
    from held
    where d.ctid = held.place
    returning d.tenant_id, d.event_id, d.subscription_id, d.attempts, d.free_attempts, d.ordering_key
)
select
    a.subscription_id as paced_id,
    a.rate_limit,
    a.max_in_flight,
    a.breaker,
    h.probes,
    h.width,
    extract(epoch from h.probe_at - now())::double precision as probe_in,
    now() as looked_at,
    l.tenant_id,
    l.event_id,
    l.subscription_id,
    l.attempts,
    l.free_attempts,
    l.event_type,
    l.payload,
    l.target_url,
    l.secret,
    l.older_secrets,
    l.older_until,
    l.sealed_headers,
    l.retry_schedule,
    l.request_timeout_ms,
    l.version,
    l.ordering_key,
    l.skip_after_attempts
from asked as a
left join lateral (
    select x.probes, x.width, x.probe_at
    from subscription_health as x
    where x.subscription_id = a.subscription_id
    limit 1
) as h on true
left join lateral (
    select
        y.tenant_id,
        y.event_id,
        y.subscription_id,
        y.attempts,
        y.free_attempts,
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
        y.ordering_key,
        s.skip_after_attempts
    from leased as y
    cross join lateral (
        select x.event_type, x.payload
        from events as x
        where x.tenant_id = y.tenant_id
            and x.id = y.event_id
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
        where x.tenant_id = y.tenant_id
            and x.id = y.subscription_id
        limit 1
    ) as s
    where y.subscription_id = a.subscription_id
) as l on true
order by l.event_id;
