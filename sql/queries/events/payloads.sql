-- events/payloads($1 tenant, $2 events, $3 bytes)
-- In the order of their ids, until those before have $3 bytes: at least one. No row for an event that is gone.
select f.id, p.payload, p.content_type
from (
    select
        x.id,
        sum(sized.payload_bytes) over (order by x.id) - sized.payload_bytes as bytes_before
    from unnest($2::uuid[]) as x (id)
    cross join lateral (
        select octet_length(y.payload) as payload_bytes
        from events as y
        where y.tenant_id = $1
            and y.id = x.id
        limit 1
    ) as sized
) as f
cross join lateral (
    select y.payload, y.content_type
    from events as y
    where y.tenant_id = $1
        and y.id = f.id
    limit 1
) as p
where f.bytes_before < $3::bigint
order by f.id;
