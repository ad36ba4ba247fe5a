-- events/accept(
--   events, one element each: $1 ids, $2 tenants, $3 types or null, $4 payloads,
--     $5 idempotency keys or null, $6 fingerprints or null, $14 for an event to all who want
--     it the version of the tenant's list it was matched with, else null;
--   deliveries, one element each: $7 event ids, $8 tenants, $9 subscriptions,
--     $10 versions of the subscriptions they were checked against, $11 born leased,
--     $15 whether a disabled subscription gets it too, held, $16 not before this time or
--     null, $17 when it expires or null, $18 ordering keys, or null where the subscription is
--     not ordered;
--   $12 lease token, $13 lease in seconds, where the subscription asks for no longer one)
-- Writes events, their deliveries and their idempotency keys in one commit. An event is
-- accepted when each subscription it is for still has the version it was checked against and
-- is active where it has to be, when the list it was matched with is the tenant's current
-- one, and when its key is new. Answers one row for each event: 'accepted', 'key_taken' or
-- 'changed'; nothing is written for the latter two.
-- Deliveries of a paced subscription are held for whoever owns its pace; those of them that
-- were to be born leased are named on the row of the first event, by their events and their subscriptions.
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
    select i.event_id, i.tenant_id, i.event_type, i.payload, i.key, i.fingerprint, i.list_version, i.number
    from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::text[], $6::bytea[], $14::bigint[])
        with ordinality as i (event_id, tenant_id, event_type, payload, key, fingerprint, list_version, number)
),
wanted as materialized (
    select
        d.event_id,
        d.tenant_id,
        d.subscription_id,
        d.leased and not s.is_paced as leased,
        d.leased and s.is_paced as withheld,
        s.is_paced,
        d.deliver_at,
        d.expires_at,
        d.ordering_key,
        d.number,
        s.is_active,
        s.least_lease_seconds
    from unnest(
        $7::uuid[], $8::uuid[], $9::uuid[], $10::bigint[], $11::boolean[], $15::boolean[], $16::timestamptz[],
        $17::timestamptz[], $18::text[]
    ) with ordinality as d (
        event_id, tenant_id, subscription_id, version, leased, may_be_disabled, deliver_at, expires_at, ordering_key,
        number
    )
    -- No row of it: null, and the event is refused.
    left join lateral (
        select x.is_active, x.is_paced, x.least_lease_seconds
        from subscriptions as x
        where x.tenant_id = d.tenant_id
            and x.id = d.subscription_id
            and x.version = d.version
            and (x.is_active or d.may_be_disabled)
            and x.deleted_at is null
        limit 1
    ) as s on true
),
changed as materialized (
    select w.event_id
    from wanted as w
    where w.is_active is null
    union all
    select i.event_id
    from item as i
    left join lateral (
        select t.subscriptions_version
        from tenants as t
        where t.id = i.tenant_id
            and i.list_version is not null
        limit 1
    ) as list on true
    where i.list_version is not null
        and list.subscriptions_version is distinct from i.list_version
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
        when (i.event_id in (select c.event_id from changed as c)) is true then 'changed'
        else 'key_taken'
    end as verdict,
    case when i.number = 1 then array(select w.event_id from wanted as w where w.withheld order by w.number) end
        as withheld_events,
    case when i.number = 1 then array(select w.subscription_id from wanted as w where w.withheld order by w.number) end
        as withheld_subscriptions
from item as i;
