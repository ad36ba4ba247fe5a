-- outbox/named($1 tenant or null for all, $2 text, $3 the same as an id or null, $4 most rows, $5 most rows to examine)
-- Rows that wait with this id, idempotency or ordering key; of a duplicate with this id, its first event. Shown newest
-- first; of more than the most with one idempotency key it is any of them.
-- Keys have an index in each tenant; of all tenants the newest rows are examined.
with named as (
    select o.id, null::uuid as duplicate_of
    from outbox as o
    where o.id = $3
    union all
    select u.id, u.duplicate_of
    from unpublished as u
    where u.id = $3
        and u.duplicate_of is not null
    union all
    (
        select o.id, null
        from outbox as o
        where o.tenant_id = $1
            and o.idempotency_key = $2
        order by o.tenant_id desc, o.idempotency_key desc
        limit $4
    )
    union all
    (
        select o.id, null
        from outbox as o
        where o.tenant_id = $1
            and o.ordering_key = $2
        order by o.tenant_id desc, o.ordering_key desc, o.id desc
        limit $4
    )
    union all
    (
        select o.id, null
        from (
            select x.id, x.idempotency_key, x.ordering_key
            from outbox as x
            where $1 is null
            order by x.id desc
            limit $5
        ) as o
        where $2 in (o.idempotency_key, o.ordering_key)
        limit $4
    )
)
select distinct
    n.id,
    n.duplicate_of,
    coalesce(o.tenant_id, u.tenant_id) as tenant_id,
    o.event_type,
    uuid_v7_time(n.id) as accepted_at,
    octet_length(o.payload) as payload_bytes,
    o.subscription_id is null as fan_out,
    o.idempotency_key,
    o.ordering_key,
    o.deliver_at,
    o.expires_at
from named as n
left join lateral (
    select
        x.tenant_id, x.event_type, x.payload, x.subscription_id, x.idempotency_key, x.ordering_key, x.deliver_at,
        x.expires_at
    from outbox as x
    where x.id = n.id
    limit 1
) as o on true
left join lateral (
    select x.tenant_id
    from unpublished as x
    where x.id = n.id
    limit 1
) as u on true
where $1 is null
    or $1 in (o.tenant_id, u.tenant_id)
order by n.id desc
limit $4;
