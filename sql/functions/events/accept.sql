-- events/accept(events: ids, tenants, types, payloads, content types (null: JSON), sizes, idempotency keys,
-- fingerprints, list versions (null: one subscription), ordering keys, due and expiry times, hops; deliveries: number
-- of the event, subscriptions, versions, whether to lease; lease token, lease in seconds)
-- Writes all in one commit if the versions are current. Returns by number: changed events, used idempotency keys,
-- deliveries not leased, and those whose subscription was edited.
create function events_accept_1(
    event_ids uuid[],
    tenant_ids uuid[],
    event_types text[],
    payloads bytea[],
    content_types text[],
    payload_sizes integer[],
    idempotency_keys text[],
    fingerprints bytea[],
    list_versions bigint[],
    ordering_keys text[],
    not_before timestamptz[],
    expire_at timestamptz[],
    hops smallint[],
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
    seconds double precision[];
    grouped boolean[];
    unmatched integer[];
    refused integer;
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
            where t.subscriptions_version is distinct from i.list_version
                and i.list_version is not null
        )::integer[]
    into seconds, grouped, released, outdated, changed
    from (
        select
            d.number,
            d.event_number,
            d.leased,
            d.leased and coalesce(s.version = d.version and not s.is_paced, false) as is_leasable,
            s.is_ordered and ordering_keys[d.event_number] is not null as is_grouped,
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
    foreach refused in array changed loop
        event_ids[refused] := null;
    end loop;
    taken := '{}';
    taken_by := '{}';
    taken_by_same := '{}';
    if cardinality(array_remove(idempotency_keys, null)) > 0 then
        select k.taken, k.taken_by, k.taken_by_same
        into taken, taken_by, taken_by_same
        from idempotency_keys_claim_1(tenant_ids, idempotency_keys, event_ids, fingerprints) as k;
        foreach refused in array taken loop
            event_ids[refused] := null;
        end loop;
    end if;
    unmatched := array(select n from generate_subscripts(event_ids, 1) as n except select unnest(event_numbers));
    insert into events (
        tenant_id, id, accepted_at, event_type, payload, content_type, fan_out, hops, ordering_key, deliver_at, expires_at,
        is_unmatched
    )
    select
        i.tenant_id,
        i.id,
        at,
        i.event_type,
        i.payload,
        i.content_type,
        case when i.list_version is not null then true end,
        i.hops,
        i.ordering_key,
        i.deliver_at,
        i.expires_at,
        case when i.number = any(unmatched) then true end
    from unnest(
        tenant_ids, event_ids, event_types, payloads, content_types, list_versions, hops, ordering_keys, not_before,
        expire_at
    ) with ordinality as i (
        tenant_id, id, event_type, payload, content_type, list_version, hops, ordering_key, deliver_at, expires_at,
        number
    )
    where i.id is not null;
    perform deliveries_enqueue_1(
        tenant_ids, event_ids, payload_sizes, ordering_keys, not_before, expire_at, event_numbers, subscription_ids,
        seconds, grouped, null, token, null
    );
end
$$;
