-- rollups/add_types(one element for each number of equal attempts or events: tenants, event types ('': none), outcomes
-- ('': events), minutes, numbers, whether first attempts, bins of the time to the first attempt and to the delivery)
-- An hour has at most 200 types of a tenant, and 1,000 of all tenants; what comes after them counts as '(other)'.
create function rollups_add_types_1(
    tenants uuid[],
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
    everybody constant uuid := '00000000-0000-0000-0000-000000000000';
    most_of_tenant constant integer := 200;
    most_of_all constant integer := 1000;
begin
    insert into rollup_types as r (
        tenant_id, at, event_type, accepted, attempts, delivered, started, first_attempt, delivery
    )
    select
        n.tenant_id,
        n.at,
        n.name,
        sum(n.accepted),
        sum(n.attempts),
        sum(n.delivered),
        sum(n.started),
        coalesce(histogram_sum(n.first_attempt), '{}'),
        coalesce(histogram_sum(n.delivery), '{}')
    from (
        select
            s.tenant_id, s.at, s.accepted, s.attempts, s.delivered, s.started, s.first_attempt, s.delivery,
            case
                when k.is_known
                    or c.types + row_number() over (
                        partition by s.tenant_id, s.at, k.is_known
                        order by s.accepted + s.attempts desc, s.event_type
                    ) <= case when s.tenant_id = everybody then most_of_all else most_of_tenant end
                    then s.event_type
                else '(other)'
            end as name
        from (
            select
                coalesce(f.tenant_id, everybody) as tenant_id,
                f.at,
                f.event_type,
                coalesce(sum(f.number) filter (where f.outcome = ''), 0) as accepted,
                coalesce(sum(f.number) filter (where f.outcome <> ''), 0) as attempts,
                coalesce(sum(f.number) filter (where f.outcome = 'delivered'), 0) as delivered,
                coalesce(sum(f.number) filter (where f.is_started), 0) as started,
                array_agg((f.number::bigint << 8) | f.first_bin) filter (where f.first_bin is not null) as first_attempt,
                array_agg((f.number::bigint << 8) | f.delivery_bin) filter (where f.delivery_bin is not null) as delivery
            from (
                select
                    u.tenant_id, u.event_type, u.outcome, date_bin('1 hour', u.minute, 'epoch') as at, u.number,
                    u.is_started, u.first_bin, u.delivery_bin
                from unnest(tenants, types, outcomes, minutes, numbers, started, first_bins, delivery_bins)
                    as u (tenant_id, event_type, outcome, minute, number, is_started, first_bin, delivery_bin)
            ) as f
            group by grouping sets ((f.tenant_id, f.at, f.event_type), (f.at, f.event_type))
        ) as s
        left join lateral (
            select true as is_known
            from rollup_types as x
            where x.tenant_id = s.tenant_id
                and x.at = s.at
                and x.event_type = s.event_type
            limit 1
        ) as k on true
        left join lateral (
            select count(*) as types
            from rollup_types as x
            where x.tenant_id = s.tenant_id
                and x.at = s.at
                and k.is_known is null
        ) as c on true
    ) as n
    group by n.tenant_id, n.at, n.name
    on conflict on constraint rollup_types_pkey do update
    set
        accepted = r.accepted + excluded.accepted,
        attempts = r.attempts + excluded.attempts,
        delivered = r.delivered + excluded.delivered,
        started = r.started + excluded.started,
        first_attempt = histogram(r.first_attempt || excluded.first_attempt),
        delivery = histogram(r.delivery || excluded.delivery);
end
$$;
