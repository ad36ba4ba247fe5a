-- upkeep/advance_groups(subscription and ordering key after which to start, most groups, most rows to release)
-- Advances stalled groups; dissolves those of subscriptions no longer ordered. One process at a time, else null.
create function upkeep_advance_groups_1(
    after_subscription uuid,
    after_key text,
    most_groups bigint,
    most_rows bigint,
    out looked_at bigint,
    out released bigint,
    out last_subscription uuid,
    out last_key text
)
language plpgsql
set search_path from current
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set jit = off
as $$
declare
    at constant timestamptz := now();
    heads tid[];
    dissolved uuid[];
    dissolved_keys text[];
    left_groups bigint;
begin
    looked_at := 0;
    released := 0;
    if not pg_try_advisory_xact_lock(hashtext(current_schema() || '.advance')) then
        looked_at := null;
        return;
    end if;
    with recursive head as (
        (
            select d.subscription_id, d.ordering_key, d.tenant_id, d.ctid as tid, d.next_attempt_at, 1 as number
            from deliveries as d
            where d.ordering_key is not null
                and (d.subscription_id, d.ordering_key) > (after_subscription, after_key)
            order by d.subscription_id, d.ordering_key, d.position
            limit 1
        )
        union all
        select next.subscription_id, next.ordering_key, next.tenant_id, next.tid, next.next_attempt_at, h.number + 1
        from head as h
        cross join lateral (
            select d.subscription_id, d.ordering_key, d.tenant_id, d.ctid as tid, d.next_attempt_at
            from deliveries as d
            where d.ordering_key is not null
                and (d.subscription_id, d.ordering_key) > (h.subscription_id, h.ordering_key)
            order by d.subscription_id, d.ordering_key, d.position
            limit 1
        ) as next
        where h.number < most_groups
    ),
    judged as materialized (
        select h.subscription_id, h.ordering_key, h.tid, h.next_attempt_at, h.number, coalesce(s.is_ordered, false) as is_ordered
        from head as h
        left join lateral (
            select x.is_ordered
            from subscriptions as x
            where x.tenant_id = h.tenant_id
                and x.id = h.subscription_id
                and x.deleted_at is null
            limit 1
        ) as s on true
    )
    select
        coalesce(array_agg(j.tid) filter (where j.is_ordered and j.next_attempt_at = 'infinity'), '{}'),
        coalesce(array_agg(j.subscription_id) filter (where not j.is_ordered), '{}'),
        array_agg(j.ordering_key) filter (where not j.is_ordered),
        count(*),
        (array_agg(j.subscription_id order by j.number desc))[1],
        (array_agg(j.ordering_key order by j.number desc))[1]
    into heads, dissolved, dissolved_keys, looked_at, last_subscription, last_key
    from judged as j;
    update deliveries as d
    set next_attempt_at = at
    where d.ctid = any(array(
        select x.ctid
        from deliveries as x
        where x.ctid = any(heads)
            and x.next_attempt_at = 'infinity'
        for update skip locked
    ));
    get diagnostics released = row_count;
    if cardinality(dissolved) > 0 then
        update deliveries as d
        set
            next_attempt_at = least(d.next_attempt_at, at),
            ordering_key = null,
            position = null
        where d.ctid = any(array(
            select w.tid
            from unnest(dissolved, dissolved_keys) as g (subscription_id, ordering_key)
            cross join lateral (
                select x.ctid as tid
                from deliveries as x
                where x.subscription_id = g.subscription_id
                    and x.ordering_key = g.ordering_key
                    and x.next_attempt_at = 'infinity'
                limit most_rows
                for update skip locked
            ) as w
            limit most_rows
        ));
        get diagnostics left_groups = row_count;
        released := released + left_groups;
    end if;
end
$$;
