-- health/read($1 tenant, $2 subscriptions)
-- How the receivers of these subscriptions do; no row for one that does well.
select
    h.subscription_id,
    coalesce(h.state, 'failing') as state,
    h.failures,
    h.failing_since,
    case when h.state in ('open', 'throttled') then h.probe_at end as next_probe_at
from subscription_health as h
where h.subscription_id = any($2::uuid[])
    and h.tenant_id = $1;
