-- refusals/list($1 tenant or null for all, $2 codes or null, $3 smallest id, $4 id below which, $5 most rows, $6 most
-- rows to examine)
-- Newest first; sql/functions/refusals/list.sql says how.
select
    l.examined_to,
    r.tenant_id,
    r.id,
    r.at,
    r.status,
    r.code,
    r.detail,
    r.route,
    r.subscription,
    r.subscription_id,
    r.event_type,
    r.idempotency_key,
    r.key_id,
    r.remote_address,
    r.request_id,
    r.beginning
from refusals_list_1($1, $2, $3, $4, $5, $6) as l
left join lateral (
    select
        x.tenant_id,
        x.id,
        x.at,
        x.status,
        x.code,
        x.detail,
        x.route,
        x.subscription,
        x.subscription_id,
        x.event_type,
        x.idempotency_key,
        x.key_id,
        x.remote_address,
        x.request_id,
        x.beginning
    from refusals as x
    where x.tenant_id = l.tenant_id
        and x.id = l.id
    limit 1
) as r on true
order by r.id desc;
