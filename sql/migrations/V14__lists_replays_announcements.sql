-- What people ask of deliveries: those that have ended are owed again, one by one or as a
-- replay; those that are owed end. And a subscription that is enabled begins slowly.
-- A replica that does not know this ends a delivery that was cancelled under way as expired,
-- and leaves replays to the others.

-- Whether an event of this type, or of none, is among these patterns: what
-- domain::event_type says of the event_types of a subscription.
create function is_wanted(event_type text, patterns text[]) returns boolean
language sql immutable parallel safe
return cardinality(patterns) = 0
    or exists (
        select 1
        from unnest(patterns) as p (pattern)
        where p.pattern = is_wanted.event_type
            or (right(p.pattern, 1) = '*' and starts_with(is_wanted.event_type, left(p.pattern, -1)))
    );

-- Deliveries that ended, to be made again: pairs of events and subscriptions of a tenant. Each
-- counts its attempts on and has its whole schedule and lifetime before it. Left out are pairs
-- whose event or subscription is gone, and those that are owed already. Returns how many there are.
-- "lateral … limit 1" fixes the order of the joins: what ended is never walked as a whole.
create function owe_again(tenant uuid, event_ids uuid[], subscription_ids uuid[], lifetime interval) returns bigint
language sql volatile as $$
    with ready as materialized (
        select
            a.event_id,
            a.subscription_id,
            s.is_active,
            s.is_paced,
            ended.place,
            coalesce(greatest(ended.attempts, made.attempts), 0) as attempts
        from unnest(event_ids, subscription_ids) as a (event_id, subscription_id)
        cross join lateral (
            select 1
            from events as x
            where x.tenant_id = tenant
                and x.id = a.event_id
            limit 1
        ) as e
        cross join lateral (
            select x.is_active, x.is_paced
            from subscriptions as x
            where x.tenant_id = tenant
                and x.id = a.subscription_id
                and x.deleted_at is null
            limit 1
        ) as s
        left join lateral (
            select x.ctid as place, x.attempts
            from undelivered as x
            where x.tenant_id = tenant
                and x.event_id = a.event_id
                and x.subscription_id = a.subscription_id
            limit 1
        ) as ended on true
        cross join lateral (
            select max(x.attempt_number) as attempts
            from attempts as x
            where x.event_id = a.event_id
                and x.subscription_id = a.subscription_id
        ) as made
    ),
    revived as (
        delete from undelivered as u
        where u.ctid = any(array(select r.place from ready as r where r.place is not null))
    ),
    owed as (
        insert into deliveries (
            tenant_id, event_id, subscription_id, next_attempt_at, held_for, attempts, free_attempts, expires_at
        )
        select
            tenant,
            r.event_id,
            r.subscription_id,
            case when r.is_active and not r.is_paced then now() else 'infinity' end,
            case when not r.is_active then 'disabled' when r.is_paced then 'paced' end,
            r.attempts,
            r.attempts,
            now() + lifetime
        from ready as r
        order by r.event_id, r.subscription_id
        on conflict (tenant_id, event_id, subscription_id) do nothing
        returning 1
    )
    select count(*)
    from owed
$$;

-- Deliveries of one subscription that are made again, a few at a time.
create table replays (
    tenant_id uuid not null,
    id uuid not null,
    subscription_id uuid not null,
    -- How they ended: words of all_deliveries, and 'missed' for events that it never got.
    statuses text[] not null,
    -- Patterns of event types; empty for all.
    event_types text[] not null default '{}',
    -- Events between these ids: bounds of times, which no event has.
    after_id uuid not null,
    below_id uuid not null,
    -- Most deliveries a second.
    rate integer not null,
    status text not null default 'running',
    -- Events up to this id are done.
    reached uuid not null,
    replayed bigint not null default 0,
    created_at timestamptz not null default now(),
    stepped_at timestamptz not null default 'epoch',
    ended_at timestamptz,
    constraint replays_pkey primary key (tenant_id, id),
    constraint replays_status_known check (status in ('running', 'finished', 'cancelled')),
    constraint replays_ended_when_not_running check ((status = 'running') = (ended_at is null)),
    constraint replays_statuses_known check (
        statuses <@ array['failed', 'expired', 'skipped', 'cancelled', 'succeeded', 'missed'] and cardinality(statuses) > 0
    ),
    constraint replays_rate_range check (rate between 1 and 10000)
);

create index replays_running on replays (stepped_at)
where status = 'running';

-- What a replay of a subscription looks through.
create index undelivered_subscription on undelivered (subscription_id, event_id);

-- A subscription that is enabled, or sent elsewhere, begins anew: where deliveries wait for
-- it, as one that recovers, so that they do not come all at once; where its tenant was told that
-- it is not well, with a row that its first success takes away, which is told then.
create or replace function forget_health() returns trigger
language plpgsql as $$
declare
    is_awaited boolean;
begin
    delete from subscription_health
    where subscription_id = new.id;
    if not new.is_active or new.deleted_at is not null then
        return null;
    end if;
    is_awaited := exists (
        select 1
        from deliveries as d
        where d.subscription_id = new.id
            and d.next_attempt_at = 'infinity'
            and d.held_for in ('disabled', 'paced')
    );
    if is_awaited or new.told is not null then
        insert into subscription_health (subscription_id, tenant_id, state, width)
        values (new.id, new.tenant_id, case when is_awaited then 'recovering' end, case when is_awaited then 2 end);
    end if;
    return null;
end
$$;

-- What changed since a list of a tenant's subscriptions was read is found by a number, so
-- that nobody has to read the list anew, or refuse an event, because of it.
-- A replica that does not know this works as before: the version of the list still changes
-- whenever somebody else would get an event, and versions of the rows tell the rest.

alter table subscriptions
-- The version of the tenant's list when the row was last written in a way that changes who
-- gets an event: made, deleted, or given other event types.
add column listed_version bigint not null default 0;

create index subscriptions_listed on subscriptions (tenant_id, listed_version);

-- Raises the version of the list and writes it to the rows that made it so. The tenant's row
-- stays locked until the commit: who sees a version sees every row that has a smaller one.
create or replace function raise_subscriptions_version() returns trigger
language plpgsql as $$
declare
    written uuid[];
begin
    if tg_op = 'INSERT' then
        written := array(select n.id from new_rows as n);
    else
        written := array(
            select n.id
            from new_rows as n
            inner join old_rows as o
                on o.tenant_id = n.tenant_id
                and o.id = n.id
            where n.event_types <> o.event_types
                or (n.deleted_at is null) <> (o.deleted_at is null)
        );
    end if;
    -- The update below comes back here, and ends here.
    if cardinality(written) > 0 then
        with raised as (
            update tenants as t
            set subscriptions_version = later_version(t.subscriptions_version)
            where t.id in (select s.tenant_id from subscriptions as s where s.id = any(written))
            returning t.id, t.subscriptions_version
        )
        update subscriptions as s
        set listed_version = r.subscriptions_version
        from raised as r
        where s.tenant_id = r.id
            and s.id = any(written);
    end if;
    return null;
end
$$;
