-- health/turn($1 owner, $2 subscription, $3 breaker as the owner knows it, $4 breaker to be,
--   $5 most requests at a time while it recovers, or null, $6 probes that failed, $7 seconds
--   for which nothing is sent, or null)
-- The owner of a pace decides what becomes of its breaker. The subscription is locked before
-- its health, as whoever changes one does it. No row when it is no longer the
-- owner or the breaker is another by now.
with locked as materialized (
    select s.id
    from subscriptions as s
    where s.id = $2::uuid
    for no key update
)
update subscription_health as h
set
    state = $4::text,
    width = $5::integer,
    probes = $6::integer,
    opened_at = case when $4::text = 'open' and h.state <> 'open' then now() else h.opened_at end,
    probe_at = case
        when $7::double precision is not null then now() + make_interval(secs => $7::double precision)
        when $4::text <> 'recovering' then h.probe_at
    end
where h.subscription_id = (select locked.id from locked)
    and h.state = $3::text
    and exists (
        select 1
        from paces as p
        where p.subscription_id = $2::uuid
            and p.owner = $1::uuid
    )
returning h.state;
