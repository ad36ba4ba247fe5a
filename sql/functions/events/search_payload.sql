-- events/search_payload(tenant or null for all, bytes to find, ordering key to find, smallest id, id below which, most
-- rows, milliseconds of work)
-- Newest first: of one tenant by its key, of all by windows of the acceptance time, which double while they are cheap.
-- The last window may have more rows than asked for, of one millisecond. Payloads are compared as bytes. If rows or time
-- ran out, examined_to is where to go on, and there is at least one row, perhaps without an id.
create function events_search_payload_1(
    tenant uuid,
    needle bytea,
    key text,
    from_id uuid,
    before_id uuid,
    most_rows integer,
    most_ms integer
)
returns table (examined_to uuid, tenant_id uuid, id uuid, accepted_at timestamptz)
language plpgsql
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = on
set enable_sort = off
set jit = off
as $$
declare
    deadline constant timestamptz := clock_timestamp() + make_interval(secs => most_ms / 1000.0);
    first_day constant timestamptz := (
        select uuid_v7_time(p.from_id)
        from partitions as p
        where p.parent = 'events'
        order by p.from_id
        limit 1
    );
    oldest constant timestamptz := greatest(uuid_v7_time(from_id), first_day);
    tenants uuid[] := '{}';
    ids uuid[] := '{}';
    times timestamptz[] := '{}';
    reached uuid;
    upper timestamptz := date_trunc('milliseconds', least(uuid_v7_time(before_id), now() + interval '1 minute'));
    lower timestamptz;
    width interval := interval '100 milliseconds';
    began timestamptz;
    tenants_before uuid[];
    ids_before uuid[];
    times_before timestamptz[];
    event record;
begin
    if tenant is not null then
        for event in
            select e.id, e.accepted_at, e.payload, e.ordering_key
            from events as e
            where e.tenant_id = tenant
                and e.id >= from_id
                and e.id < before_id
            order by e.id desc
        loop
            if position(needle in event.payload) > 0 or event.ordering_key = key then
                tenants := tenants || tenant;
                ids := ids || event.id;
                times := times || event.accepted_at;
            end if;
            if cardinality(ids) >= most_rows or clock_timestamp() >= deadline then
                reached := event.id;
                exit;
            end if;
        end loop;
    else
        <<windows>>
        while upper > oldest loop
            began := clock_timestamp();
            lower := greatest(upper - width, oldest);
            tenants_before := tenants;
            ids_before := ids;
            times_before := times;
            -- A publisher inside another transaction makes ids that are older than their acceptance.
            for event in
                select e.tenant_id, e.id, e.accepted_at, e.payload, e.ordering_key
                from events as e
                where e.accepted_at >= lower
                    and e.accepted_at < upper
                    and e.id >= uuid_v7_floor(lower - interval '8 days')
                    and e.id < uuid_v7_floor(upper + interval '10 minutes')
            loop
                if position(needle in event.payload) > 0 or event.ordering_key = key then
                    tenants := tenants || event.tenant_id;
                    ids := ids || event.id;
                    times := times || event.accepted_at;
                end if;
                -- So many that they would not be shown: a shorter window.
                if cardinality(ids) > most_rows and width > interval '1 millisecond' then
                    tenants := tenants_before;
                    ids := ids_before;
                    times := times_before;
                    width := greatest(date_trunc('milliseconds', width / 8), interval '1 millisecond');
                    continue windows;
                end if;
                -- The first window is always finished, so that every page goes on.
                if clock_timestamp() >= deadline and width > interval '100 milliseconds' then
                    tenants := tenants_before;
                    ids := ids_before;
                    times := times_before;
                    reached := uuid_v7_floor(upper);
                    exit windows;
                end if;
            end loop;
            upper := lower;
            if cardinality(ids) >= most_rows or clock_timestamp() >= deadline then
                reached := uuid_v7_floor(upper);
                exit windows;
            end if;
            if clock_timestamp() - began < make_interval(secs => most_ms / 20000.0) then
                width := width * 2;
            elsif clock_timestamp() - began > make_interval(secs => most_ms / 5000.0) then
                width := greatest(date_trunc('milliseconds', width / 2), interval '101 milliseconds');
            end if;
        end loop;
    end if;
    return query
    select reached, f.tenant_id, f.id, f.accepted_at
    from (values (1)) as one (row)
    left join unnest(tenants, ids, times) as f (tenant_id, id, accepted_at) on true
    where reached is not null
        or f.id is not null;
end
$$;
