-- rollups/add_outcomes(one element for each number of equal attempts or events: tenants, outcomes ('': events),
-- minutes, numbers, whether first attempts, bins of the time to the first attempt and to the delivery)
create function rollups_add_outcomes_1(
    tenants uuid[],
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
as $$
declare
    everybody constant uuid := '00000000-0000-0000-0000-000000000000';
begin
    insert into rollup_minutes as r (tenant_id, at, outcome, accepted, attempts, started, first_attempt, delivery)
    select
        coalesce(f.tenant_id, everybody),
        f.at,
        f.outcome,
        coalesce(sum(f.number) filter (where f.outcome = ''), 0),
        coalesce(sum(f.number) filter (where f.outcome <> ''), 0),
        coalesce(sum(f.number) filter (where f.is_started), 0),
        coalesce(histogram(array_agg((f.number::bigint << 8) | f.first_bin) filter (where f.first_bin is not null)), '{}'),
        coalesce(histogram(array_agg((f.number::bigint << 8) | f.delivery_bin) filter (where f.delivery_bin is not null)), '{}')
    from unnest(tenants, outcomes, minutes, numbers, started, first_bins, delivery_bins)
        as f (tenant_id, outcome, at, number, is_started, first_bin, delivery_bin)
    group by grouping sets ((f.tenant_id, f.at, f.outcome), (f.at, f.outcome))
    on conflict on constraint rollup_minutes_pkey do update
    set
        accepted = r.accepted + excluded.accepted,
        attempts = r.attempts + excluded.attempts,
        started = r.started + excluded.started,
        first_attempt = histogram(r.first_attempt || excluded.first_attempt),
        delivery = histogram(r.delivery || excluded.delivery);
    insert into rollup_hours as r (tenant_id, at, outcome, accepted, attempts, started, first_attempt, delivery)
    select
        coalesce(f.tenant_id, everybody),
        f.at,
        f.outcome,
        coalesce(sum(f.number) filter (where f.outcome = ''), 0),
        coalesce(sum(f.number) filter (where f.outcome <> ''), 0),
        coalesce(sum(f.number) filter (where f.is_started), 0),
        coalesce(histogram(array_agg((f.number::bigint << 8) | f.first_bin) filter (where f.first_bin is not null)), '{}'),
        coalesce(histogram(array_agg((f.number::bigint << 8) | f.delivery_bin) filter (where f.delivery_bin is not null)), '{}')
    from (
        select u.tenant_id, u.outcome, date_bin('1 hour', u.minute, 'epoch') as at, u.number, u.is_started, u.first_bin, u.delivery_bin
        from unnest(tenants, outcomes, minutes, numbers, started, first_bins, delivery_bins)
            as u (tenant_id, outcome, minute, number, is_started, first_bin, delivery_bin)
    ) as f
    group by grouping sets ((f.tenant_id, f.at, f.outcome), (f.at, f.outcome))
    on conflict on constraint rollup_hours_pkey do update
    set
        accepted = r.accepted + excluded.accepted,
        attempts = r.attempts + excluded.attempts,
        started = r.started + excluded.started,
        first_attempt = histogram(r.first_attempt || excluded.first_attempt),
        delivery = histogram(r.delivery || excluded.delivery);
end
$$;
