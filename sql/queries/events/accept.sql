-- events/accept(
--   events, one element each: $1 ids, $2 tenants, $3 types or null, $4 payloads,
--     $5 idempotency keys or null, $6 fingerprints or null;
--   deliveries, one element each: $7 event ids, $8 tenants, $9 subscriptions,
--     $10 versions of the subscriptions they were checked against, $11 born leased;
--   $12 lease token, $13 lease in seconds)
-- Writes events, their deliveries and their idempotency keys in one commit. An event is
-- accepted when a subscription it is addressed to is active and still has the version it
-- was checked against, and its key is new. Answers one row for each event: 'accepted',
-- 'key_taken' or 'changed'; nothing is written for the latter two. Deliveries of a paced
-- subscription are held for whoever owns its pace, those that were to be born leased too;
-- is_paced says of which events. Keys are inserted
-- sorted, so two of these never wait for each other in a circle.
-- "is true" keeps the planner from turning a hashed lookup into a nested loop.
-- "lateral … limit 1" fixes the order of the joins: a plan made while a table was empty would
-- otherwise walk the whole table later.
with item as materialized (
    select i.event_id, i.tenant_id, i.event_type, i.payload, i.key, i.fingerprint
    from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::text[], $6::bytea[])
        as i (event_id, tenant_id, event_type, payload, key, fingerprint)
),
wanted as materialized (
    select d.event_id, d.tenant_id, d.subscription_id, d.leased and not s.is_paced as leased, s.is_paced
    from unnest($7::uuid[], $8::uuid[], $9::uuid[], $10::bigint[], $11::boolean[])
        as d (event_id, tenant_id, subscription_id, version, leased)
    cross join lateral (
        select x.is_paced
        from subscriptions as x
        where x.tenant_id = d.tenant_id
            and x.id = d.subscription_id
            and x.version = d.version
            and x.is_active
            and x.deleted_at is null
        limit 1
    ) as s
),
keyed as (
    insert into idempotency_keys (tenant_id, key, event_id, fingerprint)
    select i.tenant_id, i.key, i.event_id, i.fingerprint
    from item as i
    where i.key is not null
        and (i.event_id in (select w.event_id from wanted as w)) is true
    order by i.tenant_id, i.key
    on conflict (tenant_id, key) do nothing
    returning event_id
),
accepted as (
    insert into events (tenant_id, id, event_type, payload)
    select i.tenant_id, i.event_id, i.event_type, i.payload
    from item as i
    where (i.event_id in (select w.event_id from wanted as w)) is true
        and (i.key is null or (i.event_id in (select k.event_id from keyed as k)) is true)
    returning id
),
owed as (
    insert into deliveries (tenant_id, event_id, subscription_id, next_attempt_at, lease, attempts, held_for)
    select
        w.tenant_id,
        w.event_id,
        w.subscription_id,
        case
            when w.is_paced then 'infinity'
            when w.leased then now() + make_interval(secs => $13::double precision)
            else now()
        end,
        case when w.leased then $12::uuid end,
        case when w.leased then 1 else 0 end,
        case when w.is_paced then 'paced' end
    from wanted as w
    where (w.event_id in (select a.id from accepted as a)) is true
)
select
    i.event_id,
    case
        when (i.event_id in (select a.id from accepted as a)) is true then 'accepted'
        when (i.event_id in (select w.event_id from wanted as w)) is true then 'key_taken'
        else 'changed'
    end as verdict,
    (i.event_id in (select w.event_id from wanted as w where w.is_paced)) is true as is_paced
from item as i;
