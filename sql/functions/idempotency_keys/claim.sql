-- idempotency_keys/claim(tenants, keys or null, event ids or null, fingerprints of the requests)
-- Writes keys in one order, so that transactions cannot deadlock. Returns used ones.
create function idempotency_keys_claim_1(
    tenant_ids uuid[],
    keys text[],
    event_ids uuid[],
    fingerprints bytea[],
    out taken integer[],
    out taken_by uuid[],
    out taken_by_same boolean[]
)
language plpgsql
set search_path from current
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
begin
    insert into idempotency_keys (tenant_id, key, event_id, fingerprint)
    select i.tenant_id, i.key, i.event_id, i.fingerprint
    from unnest(tenant_ids, keys, event_ids, fingerprints) as i (tenant_id, key, event_id, fingerprint)
    where i.key is not null
        and i.event_id is not null
    order by i.tenant_id, i.key
    on conflict on constraint idempotency_keys_pkey do nothing;
    -- A separate statement sees what the insert waited for.
    select
        coalesce(array_agg(i.number order by i.number), '{}'),
        coalesce(array_agg(k.event_id order by i.number), '{}'),
        coalesce(array_agg(k.fingerprint = i.fingerprint order by i.number), '{}')
    into taken, taken_by, taken_by_same
    from unnest(tenant_ids, keys, event_ids, fingerprints) with ordinality
        as i (tenant_id, key, event_id, fingerprint, number)
    cross join lateral (
        select x.event_id, x.fingerprint
        from idempotency_keys as x
        where x.tenant_id = i.tenant_id
            and x.key = i.key
        limit 1
    ) as k
    where k.event_id <> i.event_id;
end
$$;
