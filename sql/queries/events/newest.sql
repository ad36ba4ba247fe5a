-- events/newest($1 tenant, $2 id below which or null, $3 most rows, $4 bytes)
-- With payloads, newest first, without system events, until those before have $4 bytes: at least one, if there is any.
select
    s.id,
    s.event_type,
    s.accepted_at,
    s.payload,
    s.content_type
from (
    select
        n.id,
        n.event_type,
        n.accepted_at,
        n.payload,
        n.content_type,
        sum(octet_length(n.payload)) over (order by n.id desc) - octet_length(n.payload) as bytes_before
    from (
        select
            e.id,
            e.event_type,
            e.accepted_at,
            e.payload,
            e.content_type
        from events as e
        where e.tenant_id = $1
            and e.id < coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
            and e.about is null
        order by e.id desc
        limit $3
    ) as n
) as s
where s.bytes_before < $4::bigint
order by s.id desc;
