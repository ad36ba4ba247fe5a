-- deliveries/find_all(): with one index probe per subscription, however many rows it has
with recursive lane as (
    (
        select uuid_hash_extended(d.subscription_id, 0) as lane, d.subscription_id, d.tenant_id, d.next_attempt_at
        from deliveries as d
        where d.next_attempt_at < 'infinity'
        order by uuid_hash_extended(d.subscription_id, 0), d.next_attempt_at
        limit 1
    )
    union all
    select next.lane, next.subscription_id, next.tenant_id, next.next_attempt_at
    from lane as l
    cross join lateral (
        select uuid_hash_extended(d.subscription_id, 0) as lane, d.subscription_id, d.tenant_id, d.next_attempt_at
        from deliveries as d
        where d.next_attempt_at < 'infinity'
            and uuid_hash_extended(d.subscription_id, 0) > l.lane
        order by uuid_hash_extended(d.subscription_id, 0), d.next_attempt_at
        limit 1
    ) as next
)
select
    l.subscription_id,
    l.tenant_id,
    l.next_attempt_at as due_since,
    s.is_active,
    s.is_paced,
    now() as looked_at
from lane as l
cross join lateral (
    select x.is_active or x.deleted_at is not null as is_active, x.is_paced and x.deleted_at is null as is_paced
    from subscriptions as x
    where x.tenant_id = l.tenant_id
        and x.id = l.subscription_id
    limit 1
) as s
where l.next_attempt_at <= now();
