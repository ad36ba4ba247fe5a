-- rollups/add_subscriptions(one element for each number of equal attempts: tenants, subscriptions (null: events, which
-- are skipped), event types ('': none), outcomes, minutes, numbers, whether first attempts, bins of the time to the
-- first attempt and to the delivery)
-- An hour has at most 20 types of a subscription; what comes after them counts as '(other)'.
create function rollups_add_subscriptions_1(
    tenants uuid[],
    subscriptions uuid[],
    types text[],
    outcomes text[],
    minutes timestamptz[],
    numbers integer[],
    started boolean[],
    first_bins integer[],
    delivery_bins integer[]
)
returns void
language plpgsql
set search_path from current
set enable_seqscan = off
as $$
declare
    most_types constant integer := 20;
begin
    insert into rollup_subscriptions as r (
        tenant_id, at, subscription_id, event_type, attempts, delivered, started, first_attempt, delivery
    )
    select
        n.tenant_id,
        n.at,
        n.subscription_id,
        n.name,
        sum(n.attempts),
        sum(n.delivered),
        sum(n.started),
        coalesce(histogram_sum(n.first_attempt), '{}'),
        coalesce(histogram_sum(n.delivery), '{}')
    from (
        select
            s.tenant_id, s.at, s.subscription_id, s.attempts, s.delivered, s.started, s.first_attempt, s.delivery,
            case
                when k.is_known
                    or c.types + row_number() over (
                        partition by s.tenant_id, s.at, s.subscription_id, k.is_known
                        order by s.attempts desc, s.event_type
                    ) <= most_types
                    then s.event_type
                else '(other)'
            end as name
        from (
            select
                f.tenant_id,
                f.at,
                f.subscription_id,
                f.event_type,
                sum(f.number) as attempts,
                coalesce(sum(f.number) filter (where f.outcome = 'delivered'), 0) as delivered,
                coalesce(sum(f.number) filter (where f.is_started), 0) as started,
                array_agg((f.number::bigint << 8) | f.first_bin) filter (where f.first_bin is not null) as first_attempt,
                array_agg((f.number::bigint << 8) | f.delivery_bin) filter (where f.delivery_bin is not null) as delivery
            from (
                select
                    u.tenant_id, u.subscription_id, u.event_type, u.outcome, date_bin('1 hour', u.minute, 'epoch') as at,
                    u.number, u.is_started, u.first_bin, u.delivery_bin
                from unnest(
                    tenants, subscriptions, types, outcomes, minutes, numbers, started, first_bins, delivery_bins
                ) as u (
                    tenant_id, subscription_id, event_type, outcome, minute, number, is_started, first_bin, delivery_bin
                )
                where u.subscription_id is not null
            ) as f
            group by f.tenant_id, f.at, f.subscription_id, f.event_type
        ) as s
        left join lateral (
            select true as is_known
            from rollup_subscriptions as x
            where x.tenant_id = s.tenant_id
                and x.at = s.at
                and x.subscription_id = s.subscription_id
                and x.event_type = s.event_type
            limit 1
        ) as k on true
        left join lateral (
            select count(*) as types
            from rollup_subscriptions as x
            where x.tenant_id = s.tenant_id
                and x.at = s.at
                and x.subscription_id = s.subscription_id
                and k.is_known is null
        ) as c on true
    ) as n
    group by n.tenant_id, n.at, n.subscription_id, n.name
    on conflict on constraint rollup_subscriptions_pkey do update
    set
        attempts = r.attempts + excluded.attempts,
        delivered = r.delivered + excluded.delivered,
        started = r.started + excluded.started,
        first_attempt = histogram(r.first_attempt || excluded.first_attempt),
        delivery = histogram(r.delivery || excluded.delivery);
end
$$;
