-- outbox/page($1 id to start after, $2 only this tenant or null, $3 tenants to leave out, $4 most rows, $5 most bytes,
-- $6 most rows examined)
select
    p.reached,
    p.is_end,
    o.id,
    o.tenant_id,
    o.event_type,
    o.payload,
    o.subscription_id,
    o.idempotency_key,
    o.ordering_key,
    o.deliver_at,
    o.expires_at
from outbox_page_1($1, $2, $3, $4, $5, $6) as p
left join lateral (
    select
        x.id,
        x.tenant_id,
        x.event_type,
        x.payload,
        x.subscription_id,
        x.idempotency_key,
        x.ordering_key,
        x.deliver_at,
        x.expires_at
    from outbox as x
    where x.id = any(p.ids)
) as o
    on true
order by o.id;
