-- events/accept(
--   events, one element each: ids, tenants, types or null, payloads and their sizes in bytes, idempotency
--     keys or null with the fingerprints of their requests, versions of the tenant's list that the audience
--     was matched with (null for an addressed event), ordering keys or null, not delivered before, expires at;
--   deliveries, one element each: which event (from 1), subscriptions, the versions they were checked
--     against, whether they are born leased;
--   lease token, lease in seconds where the subscription asks for no longer one)
-- Writes events, their deliveries and their idempotency keys in one commit. The first statement decides, by
-- the rows: an addressed event has changed when its subscription is not active or has another version, one
-- for all when the tenant's list has another version. Nothing is written of a changed event, nor of one whose
-- idempotency key is taken. A delivery to a recipient that was edited, or is paced, is not born leased.
-- Returns the changed events, those whose key is taken with the event that owns it and whether its request
-- was the same, the deliveries that were released from their lease, and those whose recipient was edited, all by number.
-- Deliveries with an ordering key wait in their group where the subscription is ordered, in the order of
-- the batch. All ordered events of a call belong to one tenant: its counter is locked until the commit, so
-- positions become visible in their order. Locks are taken in one order: idempotency keys sorted, then the counter.
create function events_accept_1(
    event_ids uuid[],
    tenant_ids uuid[],
    event_types text[],
    payloads bytea[],
    payload_sizes integer[],
    idempotency_keys text[],
    fingerprints bytea[],
    list_versions bigint[],
    ordering_keys text[],
    not_before timestamptz[],
    expire_at timestamptz[],
    event_numbers integer[],
    subscription_ids uuid[],
    versions bigint[],
    leased boolean[],
    token uuid,
    lease_seconds double precision,
    out changed integer[],
    out taken integer[],
    out taken_by uuid[],
    out taken_by_same boolean[],
    out released integer[],
    out outdated integer[]
)
language plpgsql
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
    at constant timestamptz := now();
    -- Of each delivery: the lease where it is born leased, and whether it waits in an ordering group.
    seconds double precision[];
    grouped boolean[];
    -- Events of which nothing is written.
    refused integer[];
    group_size bigint;
    last_position bigint;
begin
    select
        array_agg(case when d.is_leasable then greatest(lease_seconds, d.least_lease_seconds) end order by d.number),
        array_agg(d.is_grouped order by d.number),
        coalesce(array_agg(d.number) filter (where d.leased and not d.is_leasable), '{}'),
        coalesce(array_agg(d.number) filter (where d.is_outdated), '{}'),
        coalesce(array_agg(d.event_number) filter (where d.has_changed), '{}') || array(
            select i.number
            from unnest(tenant_ids, list_versions) with ordinality as i (tenant_id, list_version, number)
            left join tenants as t
                on t.id = i.tenant_id
            where i.list_version is not null
                and t.subscriptions_version is distinct from i.list_version
        )::integer[]
    into seconds, grouped, released, outdated, changed
    from (
        select
            d.number,
            d.event_number,
            d.leased,
            d.leased and coalesce(s.version = d.version and not s.is_paced, false) as is_leasable,
            coalesce(s.is_ordered and ordering_keys[d.event_number] is not null, false) as is_grouped,
            list_versions[d.event_number] is null and (s.version = d.version and s.is_active) is not true as has_changed,
            (s.version = d.version) is not true as is_outdated,
            s.least_lease_seconds
        from unnest(event_numbers, subscription_ids, versions, leased) with ordinality
            as d (event_number, subscription_id, version, leased, number)
        left join lateral (
            select x.version, x.is_active, x.is_paced, x.is_ordered, x.least_lease_seconds
            from subscriptions as x
            where x.tenant_id = tenant_ids[d.event_number]
                and x.id = d.subscription_id
                and x.deleted_at is null
            limit 1
        ) as s on true
    ) as d;
    refused := changed;
    taken := '{}';
    taken_by := '{}';
    taken_by_same := '{}';
    if cardinality(array_remove(idempotency_keys, null)) > 0 then
        insert into idempotency_keys (tenant_id, key, event_id, fingerprint)
        select i.tenant_id, i.key, i.event_id, i.fingerprint
        from unnest(tenant_ids, idempotency_keys, event_ids, fingerprints) with ordinality
            as i (tenant_id, key, event_id, fingerprint, number)
        where i.key is not null
            and i.number <> all(refused)
        order by i.tenant_id, i.key
        on conflict on constraint idempotency_keys_pkey do nothing;
        -- A snapshot of its own, which sees what the insert waited for.
        select
            coalesce(array_agg(i.number order by i.number), '{}'),
            coalesce(array_agg(k.event_id order by i.number), '{}'),
            coalesce(array_agg(k.fingerprint = i.fingerprint order by i.number), '{}')
        into taken, taken_by, taken_by_same
        from unnest(tenant_ids, idempotency_keys, event_ids, fingerprints) with ordinality
            as i (tenant_id, key, event_id, fingerprint, number)
        cross join lateral (
            select x.event_id, x.fingerprint
            from idempotency_keys as x
            where x.tenant_id = i.tenant_id
                and x.key = i.key
            limit 1
        ) as k
        where k.event_id <> i.event_id;
        refused := refused || taken;
    end if;
    insert into events (tenant_id, id, event_type, payload, accepted_at, fan_out)
    select i.tenant_id, i.id, i.event_type, i.payload, at, case when i.list_version is not null then true end
    from unnest(tenant_ids, event_ids, event_types, payloads, list_versions) with ordinality
        as i (tenant_id, id, event_type, payload, list_version, number)
    where i.number <> all(refused);
    insert into deliveries (
        tenant_id, event_id, subscription_id, next_attempt_at, lease, attempts, payload_bytes, expires_at
    )
    select
        tenant_ids[d.event_number],
        event_ids[d.event_number],
        d.subscription_id,
        case
            when d.seconds is not null then at + make_interval(secs => d.seconds)
            else greatest(at, not_before[d.event_number])
        end,
        case when d.seconds is not null then token end,
        case when d.seconds is not null then 1 else 0 end,
        payload_sizes[d.event_number],
        expire_at[d.event_number]
    from unnest(event_numbers, subscription_ids, seconds, grouped) with ordinality
        as d (event_number, subscription_id, seconds, is_grouped, number)
    where d.event_number <> all(refused)
        and not d.is_grouped;
    if true = any(grouped) then
        select count(*)
        into group_size
        from unnest(event_numbers, grouped) as d (event_number, is_grouped)
        where d.is_grouped
            and d.event_number <> all(refused);
        insert into ordering_counters as c (tenant_id, position)
        values (tenant_ids[1], group_size)
        on conflict on constraint ordering_counters_pkey do update
        set position = c.position + excluded.position
        returning c.position into last_position;
        insert into deliveries (
            tenant_id, event_id, subscription_id, next_attempt_at, payload_bytes, expires_at, ordering_key, position
        )
        select
            tenant_ids[d.event_number],
            event_ids[d.event_number],
            d.subscription_id,
            'infinity',
            payload_sizes[d.event_number],
            expire_at[d.event_number],
            ordering_keys[d.event_number],
            last_position - group_size + row_number() over (order by d.number)
        from unnest(event_numbers, subscription_ids, grouped) with ordinality
            as d (event_number, subscription_id, is_grouped, number)
        where d.is_grouped
            and d.event_number <> all(refused);
    end if;
end
$$;
