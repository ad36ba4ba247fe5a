-- deliveries/find($1 due from, $2 due until or null for now, $3 most rows)
-- The last row describes the look: rows read, last due time, next due time, database time.
with due as materialized (
    select d.subscription_id, d.tenant_id, d.next_attempt_at
    from deliveries as d
    where d.lease is null
        and d.next_attempt_at < 'infinity'
        and d.next_attempt_at >= $1::timestamptz
        and d.next_attempt_at <= least(now(), $2::timestamptz)
    order by d.next_attempt_at
    limit $3::bigint
)
select
    l.subscription_id,
    l.tenant_id,
    l.rows,
    l.due_since,
    s.is_active,
    s.is_paced,
    null::timestamptz as next_due,
    now() as looked_at
from (
    select due.subscription_id, due.tenant_id, count(*) as rows, min(due.next_attempt_at) as due_since
    from due
    group by due.subscription_id, due.tenant_id
) as l
cross join lateral (
    select x.is_active or x.deleted_at is not null as is_active, x.is_paced and x.deleted_at is null as is_paced
    from subscriptions as x
    where x.tenant_id = l.tenant_id
        and x.id = l.subscription_id
    limit 1
) as s
union all
select
    null,
    null,
    (select count(*) from due),
    (select max(due.next_attempt_at) from due),
    null,
    null,
    (
        select d.next_attempt_at
        from deliveries as d
        where d.lease is null
            and d.next_attempt_at < 'infinity'
            and d.next_attempt_at > now()
        order by d.next_attempt_at
        limit 1
    ),
    now();
