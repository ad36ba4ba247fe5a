-- events/accept(
--   events, one element each: $1 ids, $2 tenants, $3 types or null, $4 payloads,
--     $5 idempotency keys or null, $6 fingerprints or null;
--   deliveries, one element each: $7 event ids, $8 tenants, $9 subscriptions,
--     $10 versions of the subscriptions they were checked against, $11 born leased,
--     $14 ordering keys, or null where the subscription is not ordered;
--   $12 lease token, $13 lease in seconds)
-- Writes events, their deliveries and their idempotency keys in one commit. An event is
-- accepted when a subscription it is addressed to is active and still has the version it
-- was checked against, and its key is new. Answers one row for each event: 'accepted',
-- 'key_taken' or 'changed'; nothing is written for the latter two.
-- Deliveries with an ordering key join their line: held, in the order of the batch, until
-- deliveries/advance releases the head. A lock on the line's bucket, kept until the commit,
-- makes places of a line visible in their order: whoever draws a smaller one has committed
-- before a larger one is drawn. The snapshot is older than the lock, and does no harm:
-- nothing is read under the lock but the sequence, which has no snapshot.
-- Nobody waits in a circle: all wait for idempotency keys first, sorted, and then for buckets,
-- sorted; who has a bucket waits for nothing but buckets that come later.
-- "is true" keeps the planner from turning a hashed lookup into a nested loop.
-- "lateral … limit 1" fixes the order of the joins: a plan made while a table was empty would
-- otherwise walk the whole table later.
with item as materialized (
    select i.event_id, i.tenant_id, i.event_type, i.payload, i.key, i.fingerprint
    from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::text[], $6::bytea[])
        as i (event_id, tenant_id, event_type, payload, key, fingerprint)
),
wanted as materialized (
    select d.event_id, d.tenant_id, d.subscription_id, d.leased, d.ordering_key, d.number
    from unnest($7::uuid[], $8::uuid[], $9::uuid[], $10::bigint[], $11::boolean[], $14::text[])
        with ordinality as d (event_id, tenant_id, subscription_id, version, leased, ordering_key, number)
    cross join lateral (
        select x.id
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
    insert into deliveries (tenant_id, event_id, subscription_id, next_attempt_at, lease, attempts)
    select
        w.tenant_id,
        w.event_id,
        w.subscription_id,
        case when w.leased then now() + make_interval(secs => $13::double precision) else now() end,
        case when w.leased then $12::uuid end,
        case when w.leased then 1 else 0 end
    from wanted as w
    where w.ordering_key is null
        and (w.event_id in (select a.id from accepted as a)) is true
),
locked as materialized (
    select count(pg_advisory_xact_lock(hashtext('postrider.order'), b.bucket)) as buckets
    from (
        select distinct hashtext(w.subscription_id::text || w.ordering_key) & 255 as bucket
        from wanted as w
        where w.ordering_key is not null
            and (w.event_id in (select a.id from accepted as a)) is true
        order by bucket
    ) as b
),
lined as (
    insert into deliveries (
        tenant_id, event_id, subscription_id, next_attempt_at, held_for, ordering_key, position
    )
    select
        o.tenant_id,
        o.event_id,
        o.subscription_id,
        'infinity',
        'ordered',
        o.ordering_key,
        nextval('deliveries_position')
    from (
        select w.tenant_id, w.event_id, w.subscription_id, w.ordering_key
        from wanted as w
        where w.ordering_key is not null
            and (w.event_id in (select a.id from accepted as a)) is true
        order by w.number
    ) as o
    -- The count is there when every lock is; only then are places drawn.
    cross join locked
    where locked.buckets > 0
)
select
    i.event_id,
    case
        when (i.event_id in (select a.id from accepted as a)) is true then 'accepted'
        when (i.event_id in (select w.event_id from wanted as w)) is true then 'key_taken'
        else 'changed'
    end as verdict
from item as i;
