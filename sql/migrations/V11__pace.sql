-- Pace: how fast a subscription is sent to, over all replicas, and what happens to one whose
-- receiver fails. A replica that does not know this follows no pace: it holds when all know.

alter table subscriptions
-- What its receiver's failures have come to; null while nothing has. Copied from
-- subscription_health, without raising the version.
add column breaker text,
-- Its deliveries are drawn by one worker at a time and never fall due by themselves.
add column is_paced boolean not null
    generated always as (rate_limit is not null or max_in_flight is not null or breaker is not null) stored,
add constraint subscriptions_breaker_known check (breaker in ('open', 'throttled', 'recovering'));

-- Which worker alone sends for a subscription, and until when at least.
create table paces (
    subscription_id uuid not null,
    tenant_id uuid not null,
    owner uuid not null,
    until timestamptz not null,
    constraint paces_pkey primary key (subscription_id),
    constraint paces_until_finite check (until < 'infinity')
);

create index paces_owner on paces (owner);

-- A row exists only while a receiver fails or recovers: whoever succeeds writes nothing.
create table subscription_health (
    subscription_id uuid not null,
    tenant_id uuid not null,
    -- The breaker; null while it is closed.
    state text,
    -- Attempts that failed since the last success, over all replicas.
    failures integer not null default 0,
    failing_since timestamptz,
    last_failure_at timestamptz,
    opened_at timestamptz,
    -- Nothing is sent before: the next probe of an open breaker, the end of a throttle.
    probe_at timestamptz,
    -- Probes that failed since it opened.
    probes integer not null default 0,
    -- Most requests at a time while it recovers.
    width integer,
    constraint subscription_health_pkey primary key (subscription_id),
    constraint subscription_health_state_known check (state in ('open', 'throttled', 'recovering')),
    constraint subscription_health_waits_for_a_time
        check (state is null or state = 'recovering' or probe_at is not null),
    constraint subscription_health_recovers_by_width check ((state = 'recovering') is not true or width > 0),
    constraint subscription_health_failures_counted check (failures >= 0)
);

create index subscription_health_failing on subscription_health (failing_since)
where failing_since is not null;

-- The breaker as accept and claim see it.
create function show_breaker() returns trigger
language plpgsql as $$
declare
    shown text := case when tg_op <> 'DELETE' then new.state end;
    whose uuid := case when tg_op = 'DELETE' then old.subscription_id else new.subscription_id end;
begin
    update subscriptions
    set breaker = shown
    where id = whose
        and breaker is distinct from shown;
    return null;
end
$$;

create trigger subscription_health_shown
after insert or update of state or delete on subscription_health
for each row execute function show_breaker();

-- A subscription that is enabled, or sent elsewhere, begins anew.
create function forget_health() returns trigger
language plpgsql as $$
begin
    delete from subscription_health
    where subscription_id = new.id;
    return null;
end
$$;

create trigger subscriptions_begin_anew
after update of is_active, target_url, deleted_at on subscriptions
for each row
when (
    (new.is_active and not old.is_active)
    or new.target_url <> old.target_url
    or (new.deleted_at is not null and old.deleted_at is null)
)
execute function forget_health();

-- As before, and why a delivery waits for its pace.
create or replace view all_deliveries as
select
    d.tenant_id,
    d.event_id,
    d.subscription_id,
    case
        when s.deleted_at is not null then 'cancelled'
        when not s.is_active or d.held_for is not null then 'held'
        when d.lease is not null and d.next_attempt_at > now() then 'sending'
        else 'pending'
    end as status,
    case
        when s.deleted_at is not null then 'subscription_deleted'
        when not s.is_active then 'disabled'
        when d.held_for = 'paced' then
            case
                when s.breaker = 'open' then 'breaker_open'
                when s.breaker = 'throttled' then 'retry_after'
                when s.breaker = 'recovering' then 'recovering'
                when s.rate_limit is not null then 'rate_limit'
                else 'in_flight'
            end
        else d.held_for
    end as reason,
    d.attempts::integer as attempts,
    case
        when s.deleted_at is null and s.is_active and d.lease is null then nullif(d.next_attempt_at, 'infinity')
    end as next_attempt_at
from deliveries as d
inner join subscriptions as s
    on s.tenant_id = d.tenant_id
    and s.id = d.subscription_id
union all
select
    u.tenant_id,
    u.event_id,
    u.subscription_id,
    u.status,
    u.reason,
    u.attempts::integer,
    null::timestamptz
from undelivered as u
union all
-- A success is its attempt. A pending row beside it is a replay under way and wins.
select
    a.tenant_id,
    a.event_id,
    a.subscription_id,
    'succeeded',
    null,
    max(a.attempt_number)::integer,
    null::timestamptz
from attempts as a
where a.outcome = 'delivered'
    and not exists (
        select 1
        from deliveries as d
        where d.tenant_id = a.tenant_id
            and d.event_id = a.event_id
            and d.subscription_id = a.subscription_id
    )
    and not exists (
        select 1
        from undelivered as u
        where u.tenant_id = a.tenant_id
            and u.event_id = a.event_id
            and u.subscription_id = a.subscription_id
    )
group by a.tenant_id, a.event_id, a.subscription_id;
