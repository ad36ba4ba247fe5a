-- outbox/list(tenant or null for all; subscriptions, event types, idempotency keys, ordering keys, each null for all;
-- called since and until, or null; bytes of the payload or null; id below which; most rows, most rows to examine,
-- milliseconds)
-- Rows that wait, newest first; of one tenant by its own index, so that the rows of others cost it nothing. If a limit
-- ended the search, the last row has no id, and says what was examined last.
create function outbox_list_1(
    tenant uuid,
    of_subscriptions uuid[],
    types text[],
    keys text[],
    ordering_keys text[],
    since timestamptz,
    until timestamptz,
    needle bytea,
    before_id uuid,
    most_rows bigint,
    most_examined bigint,
    most_ms double precision
)
returns table (examined_id uuid, row_id uuid)
language plpgsql stable
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set jit = off
as $$
declare
    from_id constant uuid := uuid_v7_floor(greatest(since, 'epoch'));
    top_id constant uuid := least(before_id, uuid_v7_floor(until + interval '1 millisecond'));
    deadline timestamptz;
    examined bigint := 0;
    found_rows bigint := 0;
    candidates refcursor;
    r record;
begin
    if tenant is null then
        open candidates no scroll for
            select o.id, o.subscription_id, o.event_type, o.idempotency_key, o.ordering_key, o.payload
            from outbox as o
            where o.id >= from_id
                and o.id < top_id
            order by o.id desc;
    else
        open candidates no scroll for
            select o.id, o.subscription_id, o.event_type, o.idempotency_key, o.ordering_key, o.payload
            from outbox as o
            where (o.tenant_id, o.id) >= (tenant, from_id)
                and (o.tenant_id, o.id) < (tenant, top_id)
            order by o.tenant_id desc, o.id desc;
    end if;
    loop
        fetch candidates into r;
        exit when not found;
        examined := examined + 1;
        deadline := coalesce(deadline, clock_timestamp() + make_interval(secs => most_ms / 1000));
        if (since is null or uuid_v7_time(r.id) >= since)
            and (until is null or uuid_v7_time(r.id) < until)
            and (of_subscriptions is null or coalesce(r.subscription_id = any(of_subscriptions), false))
            and (types is null or coalesce(r.event_type = any(types), false))
            and (keys is null or coalesce(r.idempotency_key = any(keys), false))
            and (ordering_keys is null or coalesce(r.ordering_key = any(ordering_keys), false))
            and (needle is null or position(needle in r.payload) > 0) then
            row_id := r.id;
            found_rows := found_rows + 1;
            return next;
        end if;
        if found_rows = most_rows then
            return;
        end if;
        if examined = most_examined or clock_timestamp() > deadline then
            examined_id := r.id;
            row_id := null;
            return next;
            return;
        end if;
    end loop;
end
$$;
