-- outbox/search($1 tenant or null for all, $2 text, $3 the same as an id or null, $4 bytes to find or null, $5 most rows,
-- $6 most rows to examine)
-- Refused calls of publish(), newest first: with this id, subscription, idempotency or ordering key, or these bytes in
-- the first 512 of the payload. An id is found at once; otherwise the newest of the tenant, or of all, are examined.
select u.id, u.tenant_id, u.ended_at, u.code, u.detail, u.event_type, u.subscription_id
from (
    select
        x.id, x.tenant_id, x.ended_at, x.code, x.detail, x.event_type, x.subscription_id, x.idempotency_key,
        x.ordering_key, x.payload
    from unpublished as x
    where x.id = $3::uuid
        and x.code <> 'duplicate'
        and ($1::uuid is null or x.tenant_id = $1)
    union all
    (
        select
            x.id, x.tenant_id, x.ended_at, x.code, x.detail, x.event_type, x.subscription_id, x.idempotency_key,
            x.ordering_key, x.payload
        from unpublished as x
        where x.tenant_id = $1
            and x.code <> 'duplicate'
            and x.id is distinct from $3
        order by x.id desc
        limit $6
    )
    union all
    (
        select
            x.id, x.tenant_id, x.ended_at, x.code, x.detail, x.event_type, x.subscription_id, x.idempotency_key,
            x.ordering_key, x.payload
        from (
            select
                y.id, y.tenant_id, y.ended_at, y.code, y.detail, y.event_type, y.subscription_id, y.idempotency_key,
                y.ordering_key, y.payload
            from unpublished as y
            where $1 is null
            order by y.id desc
            limit $6
        ) as x
        where x.code <> 'duplicate'
            and x.id is distinct from $3
    )
) as u
where $3 in (u.id, u.subscription_id)
    or $2::text in (u.idempotency_key, u.ordering_key)
    or position($4::bytea in substring(u.payload from 1 for 512)) > 0
limit $5;
