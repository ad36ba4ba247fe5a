-- refusals/search($1 tenant or null for all, $2 text, $3 the same as an id or null, $4 bytes to find or null, $5 most
-- rows, $6 most rows to examine)
select
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
from refusals_search_1($1, $2, $3, $4, $5, $6) as l
cross join lateral (
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
) as r
order by r.id desc;
