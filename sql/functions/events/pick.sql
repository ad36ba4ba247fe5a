-- events/pick(tenant, event types or null, since, until, event below which, most rows, most rows to examine)
-- The tenant's events in that time, newest first, as rows of deliveries/pick without a subscription. A row without an
-- event says where the next look begins.
create function events_pick_1(
    tenant uuid,
    types text[],
    since timestamptz,
    until timestamptz,
    before_event uuid,
    most_rows bigint,
    most_examined bigint
)
returns table (examined_event uuid, examined_subscription uuid, event_id uuid, subscription_id uuid)
language plpgsql stable
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
as $$
declare
    nobody constant uuid := '00000000-0000-0000-0000-000000000000';
    -- An event from the outbox is accepted later than its id says.
    from_event constant uuid := coalesce(uuid_v7_floor(since - interval '8 days'), nobody);
    looked uuid[];
    found uuid[];
begin
    select array_agg(e.id), array_agg(e.id) filter (where e.is_wanted)
    into looked, found
    from (
        select
            x.id,
            (types is null or x.event_type = any(types))
            and (since is null or x.accepted_at >= since)
            and (until is null or x.accepted_at < until) as is_wanted
        from events as x
        where (x.tenant_id, x.id) >= (tenant, from_event)
            and (x.tenant_id, x.id) < (tenant, before_event)
            and x.id >= from_event
            and x.id < before_event
        order by x.tenant_id desc, x.id desc
        limit most_examined
    ) as e;
    return query
    select null::uuid, null::uuid, f.id, nobody
    from unnest(found[:most_rows]) as f (id)
    union all
    select looked[most_examined], nobody, null::uuid, null::uuid
    where cardinality(looked) = most_examined
        and coalesce(cardinality(found), 0) < most_rows;
end
$$;
