-- deliveries/enqueue(events: tenants, ids (null: skip), payload bytes, ordering keys, due and expiry times;
-- deliveries: number of the event, subscriptions, lease seconds or null, whether ordered, attempts so far; lease
-- token; trigger of what is requeued)
-- The only writer of new queue rows. Skips pending ones. Ordered deliveries belong to one tenant, whose counter is
-- locked until the commit, so that positions become visible in order.
create function deliveries_enqueue_1(
    tenant_ids uuid[],
    event_ids uuid[],
    payload_sizes integer[],
    ordering_keys text[],
    not_before timestamptz[],
    expire_at timestamptz[],
    event_numbers integer[],
    subscription_ids uuid[],
    lease_seconds double precision[],
    grouped boolean[],
    attempts_before integer[],
    token uuid,
    requeued_by text
)
returns bigint
language plpgsql
set search_path from current
as $$
declare
    at constant timestamptz := now();
    written bigint;
    group_size bigint;
    last_position bigint;
begin
    if attempts_before is not null then
        insert into deliveries (
            tenant_id, event_id, subscription_id, next_attempt_at, attempts, free_attempts, payload_bytes, expires_at,
            trigger
        )
        select
            tenant_ids[d.event_number],
            event_ids[d.event_number],
            d.subscription_id,
            at,
            d.attempts,
            d.attempts,
            payload_sizes[d.event_number],
            expire_at[d.event_number],
            requeued_by
        from unnest(event_numbers, subscription_ids, attempts_before) as d (event_number, subscription_id, attempts)
        order by event_ids[d.event_number], d.subscription_id
        on conflict on constraint deliveries_pkey do nothing;
        get diagnostics written = row_count;
        return written;
    end if;
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
    from unnest(event_numbers, subscription_ids, lease_seconds, grouped)
        as d (event_number, subscription_id, seconds, is_grouped)
    where event_ids[d.event_number] is not null
        and d.is_grouped is not true;
    get diagnostics written = row_count;
    select count(*)
    into group_size
    from unnest(event_numbers, grouped) as d (event_number, is_grouped)
    where d.is_grouped
        and event_ids[d.event_number] is not null;
    if group_size > 0 then
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
            and event_ids[d.event_number] is not null;
    end if;
    return written + group_size;
end
$$;
