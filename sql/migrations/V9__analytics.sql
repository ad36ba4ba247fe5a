-- Roll-ups: counts of attempts and events, and histograms of how long deliveries took. `rollups_fold` writes them.

-- A histogram counts durations in up to 256 bins, 8 for each doubling, so that a duration that is read from it is at
-- most 4.5 % off. An element is 256 * count + bin; sorted by bin, none twice.
create function histogram_bin(milliseconds double precision) returns integer
language sql immutable strict parallel safe
set search_path from current
return case
    when milliseconds > 1 then least(ceil(8 * ln(milliseconds) / ln(2::double precision)), 255)::integer
    else 0
end;

-- The middle of a bin.
create function histogram_value(bin integer) returns double precision
language sql immutable strict parallel safe
set search_path from current
return case when bin = 0 then 1 else power(2::double precision, (bin - 0.5) / 8) end;

-- Adds up elements with the same bin.
create function histogram(elements bigint[]) returns bigint[]
language sql immutable strict parallel safe
set search_path from current
return case
    when cardinality(elements) < 2 then elements
    else array(
        select (sum(e >> 8)::bigint << 8) | (e & 255)
        from unnest(elements) as e
        group by e & 255
        order by e & 255
    )
end;

create function histogram_add(counted bigint[], others bigint[]) returns bigint[]
language sql immutable strict parallel safe
set search_path from current
return histogram(counted || others);

create aggregate histogram_sum (bigint[]) (
    sfunc = histogram_add,
    stype = bigint[],
    combinefunc = histogram_add,
    parallel = safe
);

-- In milliseconds, by nearest rank: fraction 0.99 is the 99th percentile. Null without durations.
create function histogram_percentile(elements bigint[], fraction double precision) returns double precision
language plpgsql immutable strict parallel safe
set search_path from current
as $$
begin
    return (
        select min(histogram_value((e.element & 255)::integer)) filter (where e.up_to >= greatest(ceil(fraction * e.total), 1))
        from (
            select
                u.element,
                sum(u.element >> 8) over (order by u.element & 255) as up_to,
                sum(u.element >> 8) over () as total
            from unnest(elements) as u (element)
        ) as e
    );
end
$$;

-- One row: everything before folded_until is in the roll-ups.
create table rollup_progress (
    is_only boolean not null default true,
    folded_until timestamptz not null default now(),
    -- How much time the next step covers at most.
    span interval not null default '1 minute',
    constraint rollup_progress_pkey primary key (is_only),
    constraint rollup_progress_is_one_row check (is_only)
);

insert into rollup_progress default values;

-- Attempts are counted in the minute and hour in which they began, by their outcome. Under the outcome '', accepted
-- events. The tenant 00000000-0000-0000-0000-000000000000 is all tenants together.
create table rollup_minutes (
    tenant_id uuid not null,
    at timestamptz not null,
    outcome text not null,
    accepted bigint not null,
    attempts bigint not null,
    -- First attempts of deliveries.
    started bigint not null,
    -- Histograms of milliseconds from accepted_at or deliver_at, to the start of the first attempt and to a 2xx.
    first_attempt bigint[] not null,
    delivery bigint[] not null,
    constraint rollup_minutes_pkey primary key (tenant_id, at, outcome)
) with (fillfactor = 80);

create index rollup_minutes_at on rollup_minutes (at);

create table rollup_hours (
    tenant_id uuid not null,
    at timestamptz not null,
    outcome text not null,
    accepted bigint not null,
    attempts bigint not null,
    started bigint not null,
    first_attempt bigint[] not null,
    delivery bigint[] not null,
    constraint rollup_hours_pkey primary key (tenant_id, at, outcome)
) with (fillfactor = 80);

create index rollup_hours_at on rollup_hours (at);

-- '' is events without a type; '(other)' is what came when an hour had as many types as it may.
create table rollup_types (
    tenant_id uuid not null,
    at timestamptz not null,
    event_type text not null,
    accepted bigint not null,
    attempts bigint not null,
    delivered bigint not null,
    started bigint not null,
    first_attempt bigint[] not null,
    delivery bigint[] not null,
    constraint rollup_types_pkey primary key (tenant_id, at, event_type)
) with (fillfactor = 80);

create index rollup_types_at on rollup_types (at);

create table rollup_subscriptions (
    tenant_id uuid not null,
    at timestamptz not null,
    subscription_id uuid not null,
    event_type text not null,
    attempts bigint not null,
    delivered bigint not null,
    started bigint not null,
    first_attempt bigint[] not null,
    delivery bigint[] not null,
    constraint rollup_subscriptions_pkey primary key (tenant_id, at, subscription_id, event_type)
) with (fillfactor = 80);

create index rollup_subscriptions_one on rollup_subscriptions (subscription_id, at);

create index rollup_subscriptions_at on rollup_subscriptions (at);

-- The time of the transaction, like accepted_at and written_at: a reader by it misses nothing.
create index undelivered_ended on undelivered (ended_at);
