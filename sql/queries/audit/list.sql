-- audit/list($1 tenant or null for all, $2 object or null, $3 key or null, $4 action or null, $5 smallest id,
-- $6 id below which, $7 most rows, $8 most rows to examine)
-- Newest first, by the index of what is given. If $8 ends it, `examined_to` is the last id examined, and there is at
-- least one row, perhaps without an audit row.
with examined as materialized (
    select
        a.id,
        a.object_id,
        ($1::uuid is null or a.tenant_id = $1)
        and ($2::uuid is null or a.object_id = $2)
        and ($3::uuid is null or a.actor_key = $3)
        and ($4::text is null or a.action = $4) as is_found
    from (
        (
            select x.id, x.tenant_id, x.object_id, x.actor_key, x.action
            from audit as x
            where $2::uuid is not null
                and x.object_id = $2
                and x.id >= $5
                and x.id < $6
            order by x.id desc
            limit $8
        )
        union all
        (
            select x.id, x.tenant_id, x.object_id, x.actor_key, x.action
            from audit as x
            where $2::uuid is null
                and $3::uuid is not null
                and x.actor_key = $3
                and x.id >= $5
                and x.id < $6
            order by x.id desc
            limit $8
        )
        union all
        (
            select x.id, x.tenant_id, x.object_id, x.actor_key, x.action
            from audit as x
            where $2::uuid is null
                and $3::uuid is null
                and $1::uuid is not null
                and x.tenant_id = $1
                and x.id >= $5
                and x.id < $6
            order by x.id desc
            limit $8
        )
        union all
        (
            select x.id, x.tenant_id, x.object_id, x.actor_key, x.action
            from audit as x
            where $2::uuid is null
                and $3::uuid is null
                and $1::uuid is null
                and x.id >= $5
                and x.id < $6
            order by x.id desc
            limit $8
        )
    ) as a
)
select
    e.examined_to,
    a.id,
    a.at,
    a.tenant_id,
    a.actor_kind,
    a.actor_key,
    a.action,
    a.object_kind,
    a.object_id,
    a.before::text as before,
    a.after::text as after,
    a.request_id
from (
    select case when (select count(*) from examined) = $8 then (select x.id from examined as x order by x.id limit 1) end
        as examined_to
) as e
left join lateral (
    select f.id, f.object_id
    from examined as f
    where f.is_found
    order by f.id desc
    limit $7
) as f on true
left join lateral (
    select x.id, x.at, x.tenant_id, x.actor_kind, x.actor_key, x.action, x.object_kind, x.object_id, x.before, x.after, x.request_id
    from audit as x
    -- By both, so that every index over the id is a good one.
    where x.id = f.id
        and x.object_id = f.object_id
    limit 1
) as a on true
where e.examined_to is not null
    or a.id is not null
order by a.id desc;
