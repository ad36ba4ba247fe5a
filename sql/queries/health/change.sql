-- health/change($1 owner, $2 subscriptions, $3 breakers, $4 new ones, $5 widths, $6 failed probes, $7 seconds to
-- wait)
-- Locks a subscription before its health. No row if the worker is not the owner or the breaker differs.
with locked as materialized (
    select s.id
    from subscriptions as s
    where s.id = any($2::uuid[])
    order by s.id
    for no key update
)
update subscription_health as h
set
    state = c.next,
    width = c.width,
    probes = c.probes,
    opened_at = case when c.next = 'open' and h.state <> 'open' then now() else h.opened_at end,
    probe_at = case
        when c.wait is not null then now() + make_interval(secs => c.wait)
        when c.next <> 'recovering' then h.probe_at
    end
from unnest($2::uuid[], $3::text[], $4::text[], $5::integer[], $6::integer[], $7::double precision[])
    as c (subscription_id, known, next, width, probes, wait)
where h.subscription_id = c.subscription_id
    and h.subscription_id in (select locked.id from locked)
    and h.state = c.known
    and exists (
        select 1
        from owners as o
        where o.subscription_id = h.subscription_id
            and o.owner = $1::uuid
    )
returning h.subscription_id;
