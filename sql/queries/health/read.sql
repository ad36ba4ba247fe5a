-- health/read($1 tenant, $2 subscriptions, $3 most held deliveries to count)
select
    s.id as subscription_id,
    case
        when h.state is not null then h.state
        -- Without failures the row waits for its first success.
        when h.failures > 0 then 'failing'
    end as state,
    coalesce(h.failures, 0) as failures,
    h.failing_since,
    case when h.state in ('open', 'throttled') then h.probe_at end as next_probe_at,
    least(due.held + ordered.held, $3::bigint) as held
from subscriptions as s
left join lateral (
    select x.state, x.failures, x.failing_since, x.probe_at
    from subscription_health as x
    where x.subscription_id = s.id
    limit 1
) as h on true
cross join lateral (
    select count(*) as held
    from (
        select 1
        from deliveries as d
        where uuid_hash_extended(d.subscription_id, 0) = uuid_hash_extended(s.id, 0)
            and d.subscription_id = s.id
            and d.next_attempt_at < 'infinity'
            and d.next_attempt_at <= deliveries_held_until_1(s.is_active, s.breaker, s.rate_limit, s.max_in_flight, now())
            and (d.lease is null or d.next_attempt_at <= now())
        order by d.next_attempt_at
        limit $3::bigint
    ) as d
) as due
cross join lateral (
    select count(*) as held
    from (
        select 1
        from deliveries as d
        where d.subscription_id = s.id
            and d.ordering_key is not null
            and d.next_attempt_at = 'infinity'
        limit $3::bigint
    ) as d
) as ordered
where s.tenant_id = $1
    and s.id = any($2::uuid[]);
