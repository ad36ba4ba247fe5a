-- audit/list($1 tenant or null for all, $2 object or null, $3 key or null, $4 actions or null, $5 smallest id,
-- $6 id below which, $7 most rows, $8 most rows to examine)
-- Newest first; sql/functions/audit/list.sql says how.
select
    l.examined_to,
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
from audit_list_1($1, $2, $3, $4, $5, $6, $7, $8) as l
left join lateral (
    select
        x.id,
        x.at,
        x.tenant_id,
        x.actor_kind,
        x.actor_key,
        x.action,
        x.object_kind,
        x.object_id,
        x.before,
        x.after,
        x.request_id
    from audit as x
    where x.id = l.id
        and x.object_id = l.object_id
    limit 1
) as a on true
order by a.id desc;
