-- health/read($1 tenant, $2 subscriptions, $3 most held deliveries to count of each)
-- How the receivers of these subscriptions do, and how many deliveries are held for each; no
-- state for one that does well.
select
    s.id as subscription_id,
    case
        when h.state is not null then h.state
        -- Without failures it only waits for its first success.
        when h.failures > 0 then 'failing'
    end as state,
    coalesce(h.failures, 0) as failures,
    h.failing_since,
    case when h.state in ('open', 'throttled') then h.probe_at end as next_probe_at,
    waiting.held
from unnest($2::uuid[]) as s (id)
left join lateral (
    select x.subscription_id, x.state, x.failures, x.failing_since, x.probe_at
    from subscription_health as x
    where x.subscription_id = s.id
        and x.tenant_id = $1
    limit 1
) as h on true
cross join lateral (
    select count(*) as held
    from (
        select 1
        from deliveries as d
        where d.subscription_id = s.id
            and d.next_attempt_at = 'infinity'
            and d.tenant_id = $1
        limit $3::bigint
    ) as d
) as waiting;
