-- Retention: what is older than it may be goes, by partition where it can. First what
-- waits for readers, while nothing else is locked.

-- Somebody who reads the log for minutes makes this fail and be tried again, not wait.
set local lock_timeout = '5s';

-- The log as its users know it, as before; but the payload, which may be gone earlier than
-- the log, is looked up only where it is asked for: counting attempts reads no event.
create or replace view delivery_logs as
select
    a.id,
    a.subscription_id,
    a.event_id as webhook_id,
    a.event_type,
    (
        select e.payload
        from events as e
        where e.tenant_id = a.tenant_id
            and e.id = a.event_id
    ) as payload,
    a.attempt_number::integer as attempt_number,
    a.status_code::integer as status_code,
    readable(a.response_body) as response_body,
    a.error_message,
    a.outcome = 'delivered' as is_success,
    a.created_at
from attempts as a;

-- It catches errors, which no parallel plan allows.
alter function readable(bytea) parallel unsafe;

-- The version after this one: later than any that was written before, in this history of the
-- row or in another one (a restored backup, a copy of the database). A counter would reach
-- the same number in both with different contents.
create function later_version(version bigint) returns bigint
language sql volatile
return greatest(version + 1, (extract(epoch from clock_timestamp()) * 1000000)::bigint);

-- Rows that name an event which is gone are found by it.
create index idempotency_keys_event on idempotency_keys (event_id);

create index undelivered_event on undelivered (event_id);

create index subscriptions_deleted on subscriptions (deleted_at)
where deleted_at is not null;

-- The daily partitions of events and attempts: ids from from_id to below `below_id`.
create view partitions as
select
    parent.relname::text as parent,
    child.relname::text as partition,
    substring(bound.text from 'FROM \(''([0-9a-f-]{36})''')::uuid as from_id,
    substring(bound.text from 'TO \(''([0-9a-f-]{36})''')::uuid as below_id
from pg_inherits as i
inner join pg_class as parent
    on parent.oid = i.inhparent
inner join pg_class as child
    on child.oid = i.inhrelid
cross join lateral (
    select pg_get_expr(child.relpartbound, child.oid) as text
) as bound
where i.inhparent in ('events'::regclass, 'attempts'::regclass);

-- Events with ids from from_id to below `below_id` that somebody still waits for. One probe
-- of the queue's key for each tenant, then its pending rows of that time: never the whole queue.
create function owed_events(from_id uuid, below_id uuid) returns setof events
language sql stable as $$
    with recursive waiting as (
        (
            select d.tenant_id
            from deliveries as d
            order by d.tenant_id
            limit 1
        )
        union all
        select next.tenant_id
        from waiting as w
        cross join lateral (
            select d.tenant_id
            from deliveries as d
            where d.tenant_id > w.tenant_id
            order by d.tenant_id
            limit 1
        ) as next
    )
    select e.*
    from waiting as w
    cross join lateral (
        select distinct d.event_id
        from deliveries as d
        where d.tenant_id = w.tenant_id
            and d.event_id >= owed_events.from_id
            and d.event_id < owed_events.below_id
    ) as d
    cross join lateral (
        select x.*
        from events as x
        where x.tenant_id = w.tenant_id
            and x.id = d.event_id
            and x.id >= owed_events.from_id
            and x.id < owed_events.below_id
        limit 1
    ) as e
$$;

-- The moment that a UUIDv7 carries, in milliseconds.
create function uuid_v7_time(id uuid) returns timestamptz
language sql immutable strict parallel safe
return to_timestamp(('x0000' || replace(left(id::text, 13), '-', ''))::bit(64)::bigint / 1000.0);

-- Attempts with such ids whose event still stands, for whatever reason it does.
create function owed_attempts(from_id uuid, below_id uuid) returns setof attempts
language sql stable as $$
    select a.*
    from events as e
    cross join lateral (
        select x.*
        from attempts as x
        where x.event_id = e.id
            and x.tenant_id = e.tenant_id
            and x.id >= owed_attempts.from_id
            and x.id < owed_attempts.below_id
    ) as a
    -- An attempt may seem to begin a moment before its event, by another clock.
    where e.id < uuid_v7_floor(uuid_v7_time(owed_attempts.below_id) + interval '10 seconds')
$$;

-- Retires one partition that is past, in the transaction of the caller, and says what it did:
--   dropped   nothing in it was owed;
--   replaced  it holds what was owed and nothing else, under the same name;
--   kept      nearly nothing else is in it, or less than half: writing it again would not pay;
--   waiting   more is owed than one transaction may copy (100,000 rows, 256 MiB), or finding
--             it takes longer than others may be kept waiting (500 ms);
--   failed    the database refuses, as where somebody built a view on it: see its log;
--   busy      somebody else retires, or a lock was not to be had in 250 ms: next time;
--   spared    it is of today or yesterday, where rows still arrive, or there is no such one.
-- What is owed is copied before anything is locked. Then the parent is locked, so that no
-- statement is under way that could add to what is owed; if something was added since,
-- everything is undone. Lock order: the parent, then its partition, as in every statement.
create function retire_partition(parent text, partition text) returns text
language plpgsql
set lock_timeout = '250ms'
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
    most_rows constant bigint := 100000;
    most_bytes constant bigint := 268435456;
    longest_look constant interval := '500 ms';
    few_rows constant bigint := 100;
    body constant text := case retire_partition.parent when 'events' then 'payload' else 'response_body' end;
    fresh constant text := retire_partition.partition || '_owed';
    from_id uuid;
    below_id uuid;
    owed text;
    owed_rows bigint;
    owed_bytes bigint;
    -- Rows from which it is written again: one to spare, where few are owed.
    worth_rows bigint;
    all_rows bigint;
    added boolean;
    looked_at timestamptz;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise 'retention needs read committed: the last look has to see what was committed since the first'
            using errcode = 'invalid_transaction_state', hint = 'Set default_transaction_isolation to read committed in this session.';
    end if;
    if not pg_try_advisory_xact_lock(hashtext('postrider.retention')) then
        return 'busy';
    end if;
    select p.from_id, p.below_id
    into from_id, below_id
    from partitions as p
    where p.parent = retire_partition.parent
        and p.partition = retire_partition.partition
        and p.from_id is not null
        and p.below_id <= uuid_v7_floor((date_trunc('day', now() at time zone 'UTC') - interval '1 day') at time zone 'UTC');
    if not found then
        return 'spared';
    end if;

    looked_at := clock_timestamp();
    owed := format('owed_%s(%L, %L)', parent, from_id, below_id);
    execute format(
        'select count(*), coalesce(sum(octet_length(o.body)), 0) from (select %I as body from %s limit %s) as o',
        body, owed, most_rows + 1
    ) into owed_rows, owed_bytes;
    if owed_rows > most_rows or owed_bytes > most_bytes or clock_timestamp() - looked_at > longest_look then
        return 'waiting';
    end if;
    if owed_rows > 0 then
        worth_rows := case when owed_rows <= few_rows then owed_rows + 1 else 2 * owed_rows end;
        execute format('select count(*) from (select 1 from %I limit %s) as r', partition, worth_rows)
        into all_rows;
        if all_rows < worth_rows then
            return 'kept';
        end if;
        execute format(
            'create table %I (like %I including all, constraint within check (id >= %L and id < %L))',
            fresh, parent, from_id, below_id
        );
        execute format('insert into %I select o.* from %s as o', fresh, owed);
    end if;

    execute format('lock table only %I in access exclusive mode', parent);
    if owed_rows = 0 then
        execute format('select exists (select 1 from %s)', owed) into added;
    else
        execute format('select exists (select id from %s except select id from %I)', owed, fresh) into added;
    end if;
    if added then
        raise lock_not_available;
    end if;
    execute format('drop table %I', partition);
    if owed_rows = 0 then
        return 'dropped';
    end if;
    execute format('alter table %I attach partition %I for values from (%L) to (%L)', parent, fresh, from_id, below_id);
    execute format('alter table %I drop constraint within', fresh);
    execute format('alter table %I rename to %I', fresh, partition);
    return 'replaced';
exception
    when lock_not_available then
        return 'busy';
    when invalid_transaction_state then
        raise;
    when others then
        raise warning 'partition % cannot be retired: %', partition, sqlerrm;
        return 'failed';
end
$$;

-- Deletes rows of `orphans` (idempotency_keys or undelivered) whose event is gone, of events
-- after the id `after_id` and below `below_id`: looks at 5,000 rows, and at all of the last
-- event. Says how many it deleted and how far it came; null when there was nothing to look at.
create function forget_orphans(orphans text, after_id uuid, below_id uuid, out deleted bigint, out reached uuid)
language plpgsql
set lock_timeout = '250ms'
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
begin
    deleted := 0;
    if not pg_try_advisory_xact_lock(hashtext('postrider.retention')) then
        return;
    end if;
    execute format(
        'with looked as materialized (
            select r.ctid as place, r.tenant_id, r.event_id
            from %1$I as r
            where r.event_id > $1
                and r.event_id < $2
            order by r.event_id
            fetch first 5000 rows with ties
        ),
        deleted as (
            delete from %1$I as r
            where r.ctid = any(array(
                select l.place
                from looked as l
                where not exists (
                    select 1
                    from events as e
                    where e.tenant_id = l.tenant_id
                        and e.id = l.event_id
                )
            ))
            returning 1
        )
        select
            (select count(*) from deleted),
            (select l.event_id from looked as l order by l.event_id desc limit 1)',
        orphans
    ) into deleted, reached using after_id, below_id;
exception when lock_not_available then
    deleted := 0;
end
$$;

-- Deletes at most 5,000 subscriptions that were deleted before `deleted_before` and of which
-- nothing is left, neither a parked delivery nor an attempt, with their holds. Returns how
-- many. A delivery that is due or scheduled ends at its claim with or without them.
create function forget_subscriptions(deleted_before timestamptz) returns bigint
language sql as $$
    with turn as materialized (
        select pg_try_advisory_xact_lock(hashtext('postrider.retention')) as mine
    ),
    gone as (
        delete from subscriptions as s
        where (select turn.mine from turn)
            and s.deleted_at < deleted_before
            and s.id in (
                select x.id
                from subscriptions as x
                where x.deleted_at < deleted_before
                    and not exists (
                        select 1
                        from attempts as a
                        where a.subscription_id = x.id
                    )
                    and not exists (
                        select 1
                        from deliveries as d
                        where d.subscription_id = x.id
                            and d.next_attempt_at = 'infinity'
                    )
                limit 5000
            )
        returning s.id
    ),
    unheld as (
        delete from holds as h
        where h.subscription_id in (select g.id from gone as g)
    )
    select count(*)
    from gone
$$;

-- Retires what is older than it may be, a partition or a batch a transaction: payloads, then
-- the log, which is kept for the longer of both, then what named events that are gone. Begins
-- nothing new after 30 seconds; what is left is for the next call. Says which partitions
-- were dropped, replaced, postponed and could not be retired, and how many rows of other tables were deleted.
-- It commits as it goes, so it is called by itself: no transaction around it.
create procedure apply_retention(
    payload_retention interval,
    log_retention interval,
    inout dropped text[] default '{}',
    inout replaced text[] default '{}',
    inout postponed text[] default '{}',
    inout failed text[] default '{}',
    inout forgotten bigint default 0
)
language plpgsql as $$
declare
    give_up_at constant timestamptz := clock_timestamp() + interval '30 seconds';
    -- No UUIDv7 is older than 1970.
    log_bound constant timestamptz := greatest(now() - greatest(payload_retention, log_retention), 'epoch');
    payloads_past constant uuid := uuid_v7_floor(greatest(now() - payload_retention, 'epoch'));
    log_past constant uuid := uuid_v7_floor(log_bound);
    past record;
    verdict text;
    locked_parent text := '';
    span record;
    orphans text;
    step record;
    reached uuid;
begin
    for past in
        select p.parent, p.partition
        from partitions as p
        where p.below_id <= case p.parent when 'events' then payloads_past else log_past end
        order by
            p.parent desc,
            p.from_id
    loop
        exit when clock_timestamp() > give_up_at;
        -- Those who write wait while a lock on the parent is waited for: once a call is enough.
        if past.parent = locked_parent then
            verdict := 'busy';
        else
            verdict := retire_partition(past.parent, past.partition);
            commit;
        end if;
        case verdict
            when 'dropped' then dropped := dropped || past.partition;
            when 'replaced' then replaced := replaced || past.partition;
            when 'failed' then failed := failed || past.partition;
            when 'waiting' then postponed := postponed || past.partition;
            when 'busy' then
                postponed := postponed || past.partition;
                locked_parent := past.parent;
            else null;
        end case;
    end loop;

    -- Where no partition stands, and where one was replaced just now. What an interruption
    -- leaves behind of the latter goes when that partition is dropped.
    for span in
        with standing as (
            select p.partition, p.from_id, p.below_id
            from partitions as p
            where p.parent = 'events'
        )
        select lag(s.below_id, 1, uuid_v7_floor('epoch')) over (order by s.from_id) as after_id, s.from_id as below_id
        from standing as s
        union all
        select s.from_id, s.below_id
        from standing as s
        where s.partition = any(replaced)
    loop
        continue when span.after_id = span.below_id;
        foreach orphans in array array['idempotency_keys', 'undelivered'] loop
            reached := span.after_id;
            while reached is not null and clock_timestamp() <= give_up_at loop
                step := forget_orphans(orphans, reached, least(span.below_id, payloads_past));
                commit;
                forgotten := forgotten + step.deleted;
                reached := step.reached;
            end loop;
        end loop;
    end loop;
    forgotten := forgotten + forget_subscriptions(log_bound - interval '1 day');
    commit;
end
$$;
