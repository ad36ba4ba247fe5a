-- outbox/accept(as events/accept, and: which events are rows of the outbox)
-- Accepts events and removes their rows from the outbox in one commit. Never waits for a row that another process has,
-- and takes none before an earlier one with its ordering key. Also returns the numbers of rows it could not take.
create function outbox_accept_1(
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
    from_outbox boolean[],
    out changed integer[],
    out taken integer[],
    out taken_by uuid[],
    out taken_by_same boolean[],
    out released integer[],
    out outdated integer[],
    out gone integer[]
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
    ids uuid[] := event_ids;
    wanted constant uuid[] := array(
        select i.id
        from unnest(event_ids, from_outbox) as i (id, is_row)
        where i.is_row
    );
    locked uuid[];
    mine uuid[];
    missing integer;
begin
    locked := array(
        select o.id
        from outbox as o
        where o.id = any(wanted)
        order by o.id
        for update skip locked
    );
    mine := array(
        select o.id
        from outbox as o
        where o.id = any(locked)
            and not exists (
                select 1
                from outbox as x
                where x.tenant_id = o.tenant_id
                    and x.ordering_key = o.ordering_key
                    and x.id < o.id
                    and x.id <> all(locked)
            )
    );
    gone := array(
        select i.number
        from unnest(event_ids, from_outbox) with ordinality as i (id, is_row, number)
        where i.is_row
            and i.id <> all(mine)
    );
    foreach missing in array gone loop
        ids[missing] := null;
    end loop;
    select a.changed, a.taken, a.taken_by, a.taken_by_same, a.released, a.outdated
    into changed, taken, taken_by, taken_by_same, released, outdated
    from events_accept_1(
        ids, tenant_ids, event_types, payloads, content_types, payload_sizes, idempotency_keys, fingerprints,
        list_versions, ordering_keys, not_before, expire_at, hops, event_numbers, subscription_ids, versions, leased,
        token, lease_seconds
    ) as a;
    -- Duplicates are ended by outbox/refuse.
    delete from outbox as o
    where o.id = any(mine)
        and o.id <> all(array(select event_ids[n] from unnest(changed || taken) as n));
end
$$;
