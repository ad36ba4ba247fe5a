-- events/accept(
--   events, one element each: $1 ids, $2 tenants, $3 types or null, $4 payloads,
--     $5 idempotency keys or null, $6 fingerprints or null; and for an event to all who want
--     it, else null: $14 the version of the tenant's list it was matched with, $19 not before
--     this time or null, $20 when it expires or null, $21 ordering key or null, $22 how many
--     of the deliveries below are its own or stand before those;
--   deliveries, one element each: $7 event ids, $8 tenants, $9 subscriptions,
--     $10 versions of the subscriptions they were checked against, $11 born leased,
--     $15 whether it is one of an event to all, $16 not before this time or
--     null, $17 when it expires or null, $18 ordering keys or null;
--   $12 lease token, $13 lease in seconds, where the subscription asks for no longer one)
-- Writes events, their deliveries and their idempotency keys in one commit, and answers one
-- row for each event: 'accepted', 'key_taken' or 'changed'; nothing is written for the latter two.
-- An event is accepted when its key is new. One that is addressed has changed when the
-- subscription is not active or has another version than it was checked against.
-- One to all is written for the subscriptions that want it now: `newer` has those that were
-- made, deleted or given other event types since the list was read. It has changed when there are
-- more than 64 of these, when more than 10,000 want it (domain::audience), or when the list is
-- newer than the tenant's. A recipient that was changed otherwise gets the event as it stands
-- now, not born leased, and a disabled one gets it held.
-- The row of the first event names what stands otherwise than it was checked: 'withheld', not
-- leased because it is paced; 'changed', not leased because it has another version; 'gone',
-- without a delivery; 'added', with one.
-- Deliveries of a paced subscription are held for whoever owns its pace.
-- Deliveries with an ordering key join their line where the subscription is ordered: held, in
-- the order of the batch, until deliveries/advance releases the head. A lock on the line's
-- bucket, kept until the commit, makes places of a line visible in their order: whoever draws a smaller one has committed
-- before a larger one is drawn. The snapshot is older than the lock, and does no harm:
-- nothing is read under the lock but the sequence, which has no snapshot.
-- Nobody waits in a circle: all wait for idempotency keys first, sorted, and then for buckets,
-- sorted; who has a bucket waits for nothing but buckets that come later.
-- "is true" keeps the planner from turning a hashed lookup into a nested loop.
-- "lateral … limit" fixes the order of the joins: a plan made while a table was empty would
-- otherwise walk the whole table later.
with item as materialized (
    select
        i.event_id,
        i.tenant_id,
        i.event_type,
        i.payload,
        i.key,
        i.fingerprint,
        i.list_version,
        i.deliver_at,
        i.expires_at,
        i.ordering_key,
        i.last_delivery,
        i.number,
        list.subscriptions_version
    from unnest(
        $1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::text[], $6::bytea[], $14::bigint[], $19::timestamptz[],
        $20::timestamptz[], $21::text[], $22::bigint[]
    ) with ordinality as i (
        event_id, tenant_id, event_type, payload, key, fingerprint, list_version, deliver_at, expires_at, ordering_key,
        last_delivery, number
    )
    left join lateral (
        select t.subscriptions_version
        from tenants as t
        where t.id = i.tenant_id
            and i.list_version is not null
        limit 1
    ) as list on true
),
newer as materialized (
    select
        i.event_id,
        i.tenant_id,
        i.deliver_at,
        i.expires_at,
        i.ordering_key,
        i.last_delivery,
        i.number,
        n.subscription_id,
        n.is_wanted,
        n.is_active,
        n.is_paced,
        n.is_ordered,
        n.least_lease_seconds
    from item as i
    cross join lateral (
        select
            x.id as subscription_id,
            x.deleted_at is null and is_wanted(i.event_type, x.event_types) as is_wanted,
            x.is_active,
            x.is_paced,
            x.is_ordered,
            x.least_lease_seconds
        from subscriptions as x
        -- Not by the tenant's index, which has all of its subscriptions.
        where x.tenant_id is not distinct from i.tenant_id
            and x.listed_version > i.list_version
        order by x.listed_version
        limit 65
    ) as n
    where i.subscriptions_version > i.list_version
),
given as materialized (
    select
        d.event_id,
        d.tenant_id,
        d.subscription_id,
        d.leased,
        d.to_all,
        d.deliver_at,
        d.expires_at,
        d.ordering_key,
        d.number,
        s.is_current,
        s.is_active,
        s.is_paced,
        s.is_ordered,
        s.least_lease_seconds,
        ((d.event_id, d.subscription_id) in (select n.event_id, n.subscription_id from newer as n)) is true as is_newer,
        ((d.event_id, d.subscription_id) in (
            select n.event_id, n.subscription_id
            from newer as n
            where n.is_wanted
        )) is true as is_still_wanted
    from unnest(
        $7::uuid[], $8::uuid[], $9::uuid[], $10::bigint[], $11::boolean[], $15::boolean[], $16::timestamptz[],
        $17::timestamptz[], $18::text[]
    ) with ordinality as d (
        event_id, tenant_id, subscription_id, version, leased, to_all, deliver_at, expires_at, ordering_key, number
    )
    -- No row of it: null. An addressed event is refused then; one to all goes to the others.
    left join lateral (
        select x.version = d.version as is_current, x.is_active, x.is_paced, x.is_ordered, x.least_lease_seconds
        from subscriptions as x
        where x.tenant_id = d.tenant_id
            and x.id = d.subscription_id
            and (d.to_all or x.version = d.version and x.is_active)
            and x.deleted_at is null
        limit 1
    ) as s on true
),
wanted as materialized (
    select
        g.event_id,
        g.tenant_id,
        g.subscription_id,
        g.leased and g.is_current and not g.is_paced as leased,
        g.is_paced,
        g.deliver_at,
        g.expires_at,
        case when g.is_ordered then g.ordering_key end as ordering_key,
        g.number,
        0 as place,
        g.is_active,
        g.least_lease_seconds
    from given as g
    where not g.is_newer
        and (g.is_active is not null or not g.to_all)
    union all
    select
        n.event_id,
        n.tenant_id,
        n.subscription_id,
        false,
        n.is_paced,
        n.deliver_at,
        n.expires_at,
        case when n.is_ordered then n.ordering_key end,
        n.last_delivery,
        n.number,
        n.is_active,
        n.least_lease_seconds
    from newer as n
    where n.is_wanted
),
changed as materialized (
    select w.event_id
    from wanted as w
    where w.is_active is null
    union all
    select i.event_id
    from item as i
    where i.list_version is not null
        and (i.subscriptions_version >= i.list_version) is not true
    union all
    select n.event_id
    from newer as n
    group by n.event_id
    having count(*) > 64
    union all
    select w.event_id
    from wanted as w
    where (w.event_id in (select n.event_id from newer as n)) is true
    group by w.event_id
    having count(*) > 10000
),
noted as materialized (
    select
        g.event_id,
        g.subscription_id,
        case
            when g.is_still_wanted or g.to_all and not g.is_newer and not g.is_current then 'changed'
            when g.is_newer or g.to_all and g.is_active is null then 'gone'
            when g.leased and g.is_paced then 'withheld'
        end as note
    from given as g
    union all
    select n.event_id, n.subscription_id, 'added'
    from newer as n
    where n.is_wanted
        and ((n.event_id, n.subscription_id) in (select g.event_id, g.subscription_id from given as g)) is not true
),
keyed as (
    insert into idempotency_keys (tenant_id, key, event_id, fingerprint)
    select i.tenant_id, i.key, i.event_id, i.fingerprint
    from item as i
    where i.key is not null
        and (i.event_id in (select c.event_id from changed as c)) is not true
    order by i.tenant_id, i.key
    on conflict (tenant_id, key) do nothing
    returning event_id
),
accepted as (
    insert into events (tenant_id, id, event_type, payload, fan_out)
    select i.tenant_id, i.event_id, i.event_type, i.payload, case when i.list_version is not null then true end
    from item as i
    where (i.event_id in (select c.event_id from changed as c)) is not true
        and (i.key is null or (i.event_id in (select k.event_id from keyed as k)) is true)
    returning id
),
owed as (
    insert into deliveries (
        tenant_id, event_id, subscription_id, next_attempt_at, lease, attempts, held_for, expires_at
    )
    select
        w.tenant_id,
        w.event_id,
        w.subscription_id,
        case
            when w.leased then now() + make_interval(secs => greatest($13::double precision, w.least_lease_seconds))
            when w.deliver_at > now() then w.deliver_at
            when not w.is_active or w.is_paced then 'infinity'
            else now()
        end,
        case when w.leased then $12::uuid end,
        case when w.leased then 1 else 0 end,
        case
            when w.leased or w.deliver_at > now() then null
            when not w.is_active then 'disabled'
            when w.is_paced then 'paced'
        end,
        w.expires_at
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
        tenant_id, event_id, subscription_id, next_attempt_at, held_for, expires_at, ordering_key, position
    )
    select
        o.tenant_id,
        o.event_id,
        o.subscription_id,
        'infinity',
        'ordered',
        o.expires_at,
        o.ordering_key,
        nextval('deliveries_position')
    from (
        select w.tenant_id, w.event_id, w.subscription_id, w.expires_at, w.ordering_key
        from wanted as w
        where w.ordering_key is not null
            and (w.event_id in (select a.id from accepted as a)) is true
        order by w.number, w.place
    ) as o
    -- The count is there when every lock is; only then are places drawn.
    cross join locked
    where locked.buckets > 0
)
select
    i.event_id,
    case
        when (i.event_id in (select a.id from accepted as a)) is true then 'accepted'
        when (i.event_id in (select c.event_id from changed as c)) is true then 'changed'
        else 'key_taken'
    end as verdict,
    case when i.number = 1 then array(
        select n.event_id
        from noted as n
        where n.note is not null
        order by n.event_id, n.subscription_id
    ) end as noted_events,
    case when i.number = 1 then array(
        select n.subscription_id
        from noted as n
        where n.note is not null
        order by n.event_id, n.subscription_id
    ) end as noted_subscriptions,
    case when i.number = 1 then array(
        select n.note
        from noted as n
        where n.note is not null
        order by n.event_id, n.subscription_id
    ) end as notes
from item as i;
