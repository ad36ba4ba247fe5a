-- Roll-ups: counts of attempts and events, and histograms of how long deliveries took. `rollups_fold` writes them.

-- A histogram counts durations in up to 256 bins, 8 for each doubling, so that a duration that is read from it is at
-- most 4.5 % off. An element is 256 * count + bin; in any order, a bin more than once.
create function histogram_bin(milliseconds double precision) returns integer
language sql immutable parallel safe
return case
    when milliseconds is null then null
    when milliseconds > 1 then least(ceil(8 * ln(milliseconds) / ln(2::double precision)), 255)::integer
    else 0
end;

-- The middle of a bin.
create function histogram_value(bin integer) returns double precision
language sql immutable strict parallel safe
return case when bin = 0 then 1 else power(2::double precision, (bin - 0.5) / 8) end;

-- Adds up elements with the same bin, once they are many. Called for every row of a roll-up, so it has no search path of
-- its own: setting one costs more than the rest.
create function histogram(elements bigint[]) returns bigint[]
language plpgsql immutable strict parallel safe
as $$
begin
    if cardinality(elements) < 32 then
        return elements;
    end if;
    return array(
        select (sum(e >> 8)::bigint << 8) | (e & 255)
        from unnest(elements) as e
        group by e & 255
    );
end
$$;

-- Of many rows, so it adds up rarely.
create function histogram_add(counted bigint[], others bigint[]) returns bigint[]
language plpgsql immutable strict parallel safe
as $$
begin
    if cardinality(counted) < 2048 then
        return counted || others;
    end if;
    return array(
        select (sum(e >> 8)::bigint << 8) | (e & 255)
        from unnest(counted || others) as e
        group by e & 255
    );
end
$$;

create aggregate histogram_sum (bigint[]) (
    sfunc = histogram_add,
    stype = bigint[],
    finalfunc = histogram,
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

-- The depth of the queue, counted about once a minute. The tenant 00000000-0000-0000-0000-000000000000 is all tenants
-- together; another has a row if something of it waited.
create table queue_depth_minutes (
    tenant_id uuid not null,
    at timestamptz not null,
    -- Scheduled, due or being sent.
    pending bigint not null,
    held bigint not null,
    -- There may be tenants without a row of which something waited.
    is_cut boolean not null,
    -- How long the count took. Of all tenants together.
    took interval,
    constraint queue_depth_minutes_pkey primary key (tenant_id, at)
);

create index queue_depth_minutes_at on queue_depth_minutes (at);

-- The most of each hour that has ended. A tenant has a row if the most of it is known and not 0.
create table queue_depth_hours (
    tenant_id uuid not null,
    at timestamptz not null,
    pending bigint not null,
    held bigint not null,
    is_cut boolean not null,
    constraint queue_depth_hours_pkey primary key (tenant_id, at)
);

create index queue_depth_hours_at on queue_depth_hours (at);

-- The time of the transaction, like accepted_at and written_at: a reader by it misses nothing.
create index undelivered_ended on undelivered (ended_at);

-- Views for people and their tools. The role postrider_analytics reads them with the rights of their owner, and no
-- table. They are called analytics_… here and lose that in the schema `analytics`. Rows of all tenants together have
-- views of their own, so that sums are right. `tenant` comes from a left join by a key, which costs nothing where it is not selected.
create view analytics_deliveries_per_minute as
select
    r.at as minute,
    r.tenant_id,
    t.external_id as tenant,
    sum(r.accepted)::bigint as accepted,
    sum(r.attempts)::bigint as attempts,
    coalesce(sum(r.attempts) filter (where r.outcome = 'delivered'), 0)::bigint as delivered,
    coalesce(sum(r.attempts) filter (where r.outcome <> 'delivered'), 0)::bigint as failed,
    sum(r.started)::bigint as started,
    histogram_percentile(histogram_sum(r.first_attempt), 0.50) as first_attempt_p50_ms,
    histogram_percentile(histogram_sum(r.first_attempt), 0.90) as first_attempt_p90_ms,
    histogram_percentile(histogram_sum(r.first_attempt), 0.95) as first_attempt_p95_ms,
    histogram_percentile(histogram_sum(r.first_attempt), 0.99) as first_attempt_p99_ms,
    histogram_percentile(histogram_sum(r.delivery), 0.50) as delivery_p50_ms,
    histogram_percentile(histogram_sum(r.delivery), 0.90) as delivery_p90_ms,
    histogram_percentile(histogram_sum(r.delivery), 0.95) as delivery_p95_ms,
    histogram_percentile(histogram_sum(r.delivery), 0.99) as delivery_p99_ms,
    histogram_sum(r.first_attempt) as first_attempt_histogram,
    histogram_sum(r.delivery) as delivery_histogram
from rollup_minutes as r
left join tenants as t
    on t.id = r.tenant_id
where r.tenant_id <> '00000000-0000-0000-0000-000000000000'
group by
    r.at,
    r.tenant_id,
    t.external_id;

create view analytics_deliveries_per_hour as
select
    r.at as hour,
    r.tenant_id,
    t.external_id as tenant,
    sum(r.accepted)::bigint as accepted,
    sum(r.attempts)::bigint as attempts,
    coalesce(sum(r.attempts) filter (where r.outcome = 'delivered'), 0)::bigint as delivered,
    coalesce(sum(r.attempts) filter (where r.outcome <> 'delivered'), 0)::bigint as failed,
    sum(r.started)::bigint as started,
    histogram_percentile(histogram_sum(r.first_attempt), 0.50) as first_attempt_p50_ms,
    histogram_percentile(histogram_sum(r.first_attempt), 0.90) as first_attempt_p90_ms,
    histogram_percentile(histogram_sum(r.first_attempt), 0.95) as first_attempt_p95_ms,
    histogram_percentile(histogram_sum(r.first_attempt), 0.99) as first_attempt_p99_ms,
    histogram_percentile(histogram_sum(r.delivery), 0.50) as delivery_p50_ms,
    histogram_percentile(histogram_sum(r.delivery), 0.90) as delivery_p90_ms,
    histogram_percentile(histogram_sum(r.delivery), 0.95) as delivery_p95_ms,
    histogram_percentile(histogram_sum(r.delivery), 0.99) as delivery_p99_ms,
    histogram_sum(r.first_attempt) as first_attempt_histogram,
    histogram_sum(r.delivery) as delivery_histogram
from rollup_hours as r
left join tenants as t
    on t.id = r.tenant_id
where r.tenant_id <> '00000000-0000-0000-0000-000000000000'
group by
    r.at,
    r.tenant_id,
    t.external_id;

-- All tenants together, whose histograms are merged already.
create view analytics_totals_per_minute as
select
    r.at as minute,
    sum(r.accepted)::bigint as accepted,
    sum(r.attempts)::bigint as attempts,
    coalesce(sum(r.attempts) filter (where r.outcome = 'delivered'), 0)::bigint as delivered,
    coalesce(sum(r.attempts) filter (where r.outcome <> 'delivered'), 0)::bigint as failed,
    sum(r.started)::bigint as started,
    histogram_percentile(histogram_sum(r.first_attempt), 0.50) as first_attempt_p50_ms,
    histogram_percentile(histogram_sum(r.first_attempt), 0.90) as first_attempt_p90_ms,
    histogram_percentile(histogram_sum(r.first_attempt), 0.95) as first_attempt_p95_ms,
    histogram_percentile(histogram_sum(r.first_attempt), 0.99) as first_attempt_p99_ms,
    histogram_percentile(histogram_sum(r.delivery), 0.50) as delivery_p50_ms,
    histogram_percentile(histogram_sum(r.delivery), 0.90) as delivery_p90_ms,
    histogram_percentile(histogram_sum(r.delivery), 0.95) as delivery_p95_ms,
    histogram_percentile(histogram_sum(r.delivery), 0.99) as delivery_p99_ms,
    histogram_sum(r.first_attempt) as first_attempt_histogram,
    histogram_sum(r.delivery) as delivery_histogram
from rollup_minutes as r
where r.tenant_id = '00000000-0000-0000-0000-000000000000'
group by r.at;

create view analytics_totals_per_hour as
select
    r.at as hour,
    sum(r.accepted)::bigint as accepted,
    sum(r.attempts)::bigint as attempts,
    coalesce(sum(r.attempts) filter (where r.outcome = 'delivered'), 0)::bigint as delivered,
    coalesce(sum(r.attempts) filter (where r.outcome <> 'delivered'), 0)::bigint as failed,
    sum(r.started)::bigint as started,
    histogram_percentile(histogram_sum(r.first_attempt), 0.50) as first_attempt_p50_ms,
    histogram_percentile(histogram_sum(r.first_attempt), 0.90) as first_attempt_p90_ms,
    histogram_percentile(histogram_sum(r.first_attempt), 0.95) as first_attempt_p95_ms,
    histogram_percentile(histogram_sum(r.first_attempt), 0.99) as first_attempt_p99_ms,
    histogram_percentile(histogram_sum(r.delivery), 0.50) as delivery_p50_ms,
    histogram_percentile(histogram_sum(r.delivery), 0.90) as delivery_p90_ms,
    histogram_percentile(histogram_sum(r.delivery), 0.95) as delivery_p95_ms,
    histogram_percentile(histogram_sum(r.delivery), 0.99) as delivery_p99_ms,
    histogram_sum(r.first_attempt) as first_attempt_histogram,
    histogram_sum(r.delivery) as delivery_histogram
from rollup_hours as r
where r.tenant_id = '00000000-0000-0000-0000-000000000000'
group by r.at;

create view analytics_queue_depth_per_minute as
select
    q.at as minute,
    q.tenant_id,
    t.external_id as tenant,
    q.pending,
    q.held
from queue_depth_minutes as q
left join tenants as t
    on t.id = q.tenant_id
where q.tenant_id <> '00000000-0000-0000-0000-000000000000';

create view analytics_queue_depth_per_hour as
select
    q.at as hour,
    q.tenant_id,
    t.external_id as tenant,
    q.pending as most_pending,
    q.held as most_held
from queue_depth_hours as q
left join tenants as t
    on t.id = q.tenant_id
where q.tenant_id <> '00000000-0000-0000-0000-000000000000';

create view analytics_totals_queue_depth_per_minute as
select
    q.at as minute,
    q.pending,
    q.held,
    q.is_cut
from queue_depth_minutes as q
where q.tenant_id = '00000000-0000-0000-0000-000000000000';

create view analytics_totals_queue_depth_per_hour as
select
    q.at as hour,
    q.pending as most_pending,
    q.held as most_held,
    q.is_cut
from queue_depth_hours as q
where q.tenant_id = '00000000-0000-0000-0000-000000000000';

create view analytics_event_types_per_hour as
select
    r.at as hour,
    r.tenant_id,
    t.external_id as tenant,
    r.event_type,
    r.accepted,
    r.attempts,
    r.delivered,
    r.attempts - r.delivered as failed,
    r.started,
    histogram_percentile(r.first_attempt, 0.50) as first_attempt_p50_ms,
    histogram_percentile(r.first_attempt, 0.90) as first_attempt_p90_ms,
    histogram_percentile(r.first_attempt, 0.95) as first_attempt_p95_ms,
    histogram_percentile(r.first_attempt, 0.99) as first_attempt_p99_ms,
    histogram_percentile(r.delivery, 0.50) as delivery_p50_ms,
    histogram_percentile(r.delivery, 0.90) as delivery_p90_ms,
    histogram_percentile(r.delivery, 0.95) as delivery_p95_ms,
    histogram_percentile(r.delivery, 0.99) as delivery_p99_ms,
    r.first_attempt as first_attempt_histogram,
    r.delivery as delivery_histogram
from rollup_types as r
left join tenants as t
    on t.id = r.tenant_id
where r.tenant_id <> '00000000-0000-0000-0000-000000000000';

create view analytics_subscriptions_per_hour as
select
    r.at as hour,
    r.tenant_id,
    t.external_id as tenant,
    r.subscription_id,
    s.external_id as subscription,
    r.event_type,
    r.attempts,
    r.delivered,
    r.attempts - r.delivered as failed,
    r.started,
    histogram_percentile(r.first_attempt, 0.50) as first_attempt_p50_ms,
    histogram_percentile(r.first_attempt, 0.90) as first_attempt_p90_ms,
    histogram_percentile(r.first_attempt, 0.95) as first_attempt_p95_ms,
    histogram_percentile(r.first_attempt, 0.99) as first_attempt_p99_ms,
    histogram_percentile(r.delivery, 0.50) as delivery_p50_ms,
    histogram_percentile(r.delivery, 0.90) as delivery_p90_ms,
    histogram_percentile(r.delivery, 0.95) as delivery_p95_ms,
    histogram_percentile(r.delivery, 0.99) as delivery_p99_ms,
    r.first_attempt as first_attempt_histogram,
    r.delivery as delivery_histogram
from rollup_subscriptions as r
left join tenants as t
    on t.id = r.tenant_id
left join subscriptions as s
    on s.tenant_id = r.tenant_id
    and s.id = r.subscription_id;

create view analytics_events as
select
    e.accepted_at,
    e.tenant_id,
    t.external_id as tenant,
    e.id as webhook_id,
    e.event_type,
    octet_length(e.payload) as payload_bytes,
    e.ordering_key,
    e.deliver_at,
    e.expires_at,
    coalesce(e.is_unmatched, false) as is_unmatched
from events as e
left join tenants as t
    on t.id = e.tenant_id;

create view analytics_deliveries as
select
    d.tenant_id,
    t.external_id as tenant,
    d.event_id as webhook_id,
    d.subscription_id,
    s.external_id as subscription,
    d.status,
    d.reason,
    d.attempts,
    d.next_attempt_at
from all_deliveries as d
left join tenants as t
    on t.id = d.tenant_id
left join subscriptions as s
    on s.tenant_id = d.tenant_id
    and s.id = d.subscription_id;

create view analytics_attempts as
select
    a.created_at,
    a.written_at,
    a.tenant_id,
    t.external_id as tenant,
    a.id,
    a.event_id as webhook_id,
    a.subscription_id,
    s.external_id as subscription,
    a.event_type,
    a.attempt_number,
    coalesce(a.trigger, 'fresh') as trigger,
    a.outcome,
    a.outcome = 'delivered' as is_success,
    a.status_code::integer as status_code,
    a.duration_ms,
    a.error_message,
    a.remote_address
from attempts as a
left join tenants as t
    on t.id = a.tenant_id
left join subscriptions as s
    on s.tenant_id = a.tenant_id
    and s.id = a.subscription_id
where a.trigger is distinct from 'test';

create view analytics_subscriptions as
select
    s.tenant_id,
    t.external_id as tenant,
    s.id as subscription_id,
    s.external_id as subscription,
    s.target_url,
    s.event_types,
    s.filter,
    s.description,
    s.metadata,
    s.is_active,
    s.disabled_reason,
    s.breaker,
    s.is_ordered,
    s.rate_limit,
    s.max_in_flight,
    s.created_at,
    s.updated_at,
    s.deleted_at
from subscriptions as s
left join tenants as t
    on t.id = s.tenant_id;

create view analytics_tenants as
select
    t.id as tenant_id,
    t.external_id as tenant,
    t.name,
    t.metadata,
    t.subscription_count,
    t.max_subscriptions,
    t.publish_per_second,
    t.created_at,
    t.updated_at,
    t.deleted_at
from tenants as t;

-- These views of this installation, wherever they are: each of them reads its table `tenants`, a roll-up or the depths of the queue.
create function analytics_views() returns table (view oid, name name, place regnamespace)
language plpgsql stable
set search_path from current
as $$
begin
    return query
    select c.oid, c.relname, c.relnamespace::regnamespace
    from pg_class as c
    where c.relkind = 'v'
        and (
            c.relnamespace = to_regnamespace('analytics')
            or (c.relnamespace = current_schema()::regnamespace and c.relname like 'analytics\_%')
        )
        and exists (
            select 1
            from pg_rewrite as r
            inner join pg_depend as d
                on d.classid = 'pg_rewrite'::regclass
                and d.objid = r.oid
                and d.refclassid = 'pg_class'::regclass
                and d.refobjid in (
                    'tenants'::regclass, 'rollup_minutes'::regclass, 'rollup_hours'::regclass,
                    'queue_depth_minutes'::regclass, 'queue_depth_hours'::regclass
                )
            where r.ev_class = c.oid
        );
end
$$;

-- Lets the role postrider_analytics read the views. It needs the schema of the tables for the functions of histograms
-- and ids. Returns whether there is such a role.
create function grant_analytics() returns boolean
language plpgsql
set search_path from current
as $$
declare
    of_ours record;
begin
    if to_regrole('postrider_analytics') is null then
        return false;
    end if;
    execute format('grant usage on schema %I to postrider_analytics', current_schema());
    for of_ours in select v.name, v.place from analytics_views() as v loop
        execute format('grant usage on schema %s to postrider_analytics', of_ours.place);
        execute format('grant select on %s.%I to postrider_analytics', of_ours.place, of_ours.name);
    end loop;
    return true;
end
$$;

-- The first installation of a database has its views in the schema `analytics`, if that may be made or is empty. Those
-- of others stay in the schema of their tables.
create function place_analytics() returns void
language plpgsql
set search_path from current
as $$
declare
    of_ours record;
begin
    if to_regnamespace('analytics') is null and has_database_privilege(current_database(), 'create') then
        create schema analytics;
    end if;
    if coalesce(has_schema_privilege(to_regnamespace('analytics')::oid, 'create'), false)
        and not exists (select 1 from pg_class as c where c.relnamespace = to_regnamespace('analytics')) then
        for of_ours in select v.name, v.place from analytics_views() as v loop
            execute format('alter view %s.%I set schema analytics', of_ours.place, of_ours.name);
            execute format(
                'alter view analytics.%I rename to %I', of_ours.name, substr(of_ours.name, length('analytics_') + 1)
            );
        end loop;
    end if;
    perform grant_analytics();
end
$$;

select make_role('postrider_analytics');

select place_analytics();
