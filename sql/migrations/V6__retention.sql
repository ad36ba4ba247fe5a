-- Attaches a finished partition, which does not block inserts. Safe to run again and concurrently.
create function ensure_partitions(from_day date, through_day date) returns integer
language plpgsql
set search_path from current
as $$
declare
    parent text;
    day date;
    partition text;
    made integer := 0;
begin
    perform pg_advisory_xact_lock(hashtext(current_schema() || '.partitions'));
    foreach parent in array array['events', 'attempts'] loop
        day := from_day;
        while day <= through_day loop
            partition := format('%s_%s', parent, to_char(day, 'YYYYMMDD'));
            if to_regclass(partition) is null then
                execute format('create table %I (like %I including all)', partition, parent);
                execute format(
                    'alter table %I attach partition %I for values from (%L) to (%L)',
                    parent,
                    partition,
                    uuid_v7_floor(day::timestamp at time zone 'UTC'),
                    uuid_v7_floor((day + 1)::timestamp at time zone 'UTC')
                );
                made := made + 1;
            end if;
            day := day + 1;
        end loop;
    end loop;
    return made;
end
$$;

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

-- Ranges of dropped event ids; rows of this table with ids above after_id are still to be checked.
create table retired_ids (
    of_table text not null,
    after_id uuid not null,
    below_id uuid not null,
    constraint retired_ids_pkey primary key (of_table, below_id),
    constraint retired_ids_table_known check (of_table in ('idempotency_keys', 'undelivered'))
);

-- Events first, oldest first. Attempts are kept for the longer of both times.
create function past_partitions(payload_retention interval, log_retention interval)
returns table (parent text, partition text)
language plpgsql
set search_path from current
as $$
declare
    payloads_past constant uuid := uuid_v7_floor(greatest(now() - payload_retention, 'epoch'));
    log_past constant uuid := uuid_v7_floor(
        greatest(now() - greatest(payload_retention, log_retention), 'epoch')
    );
    spared constant uuid := uuid_v7_floor(
        (date_trunc('day', now() at time zone 'UTC') - interval '1 day') at time zone 'UTC'
    );
begin
    return query
    select p.parent, p.partition
    from partitions as p
    where p.below_id <= least(spared, case p.parent when 'events' then payloads_past else log_past end)
    order by p.parent desc, p.from_id;
end
$$;

-- Drops a partition or replaces it by its outstanding rows. Returns 'dropped', 'replaced', 'kept' (mostly
-- outstanding), 'waiting' (too much to copy), 'busy' (locked or changed) or 'failed'.
create function retire_partition(parent text, partition text) returns text
language plpgsql
set search_path from current
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
    is_events constant boolean := retire_partition.parent = 'events';
    fresh constant text := retire_partition.partition || '_outstanding';
    from_id uuid;
    below_id uuid;
    outstanding text;
    rows_left bigint;
    bytes_left bigint;
    worth_rows bigint;
    all_rows bigint;
    is_changed boolean;
    looked_at timestamptz;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise 'retention needs read committed: the last look has to see what was committed since the first'
            using errcode = 'invalid_transaction_state',
            hint = 'Set default_transaction_isolation to read committed in this session.';
    end if;
    if not pg_try_advisory_xact_lock(hashtext(current_schema() || '.retention')) then
        return 'busy';
    end if;
    select p.from_id, p.below_id
    into strict from_id, below_id
    from partitions as p
    where p.parent = retire_partition.parent
        and p.partition = retire_partition.partition;
    -- Uses the queue's key. Clocks differ, so an attempt may begin before its event.
    outstanding := case
        when is_events then format(
            'select e.* from (select distinct d.event_id, d.tenant_id from deliveries as d'
            ' where d.event_id >= %1$L and d.event_id < %2$L) as d'
            ' cross join lateral (select x.* from events as x where x.tenant_id = d.tenant_id'
            ' and x.id = d.event_id and x.id >= %1$L and x.id < %2$L limit 1) as e',
            from_id, below_id
        )
        else format(
            'select a.* from events as e cross join lateral (select x.* from attempts as x'
            ' where x.event_id = e.id and x.tenant_id = e.tenant_id and x.id >= %1$L and x.id < %2$L) as a'
            ' where e.id < %3$L',
            from_id, below_id, uuid_v7_floor(uuid_v7_time(below_id) + interval '10 seconds')
        )
    end;
    looked_at := clock_timestamp();
    execute format(
        'select count(*), coalesce(sum(octet_length(o.%I)), 0) from (%s limit %s) as o',
        case when is_events then 'payload' else 'response_body' end,
        outstanding,
        most_rows + 1
    ) into rows_left, bytes_left;
    if rows_left > most_rows or bytes_left > most_bytes or clock_timestamp() - looked_at > longest_look then
        return 'waiting';
    end if;
    if rows_left > 0 then
        worth_rows := case when rows_left <= few_rows then rows_left + 1 else 2 * rows_left end;
        execute format('select count(*) from (select 1 from %I limit %s) as r', partition, worth_rows)
        into all_rows;
        if all_rows < worth_rows then
            return 'kept';
        end if;
        execute format(
            'create table %I (like %I including all, constraint within check (id >= %L and id < %L))',
            fresh, parent, from_id, below_id
        );
        execute format('insert into %I %s', fresh, outstanding);
    end if;
    execute format('lock table only %I in access exclusive mode', parent);
    if rows_left = 0 then
        execute format('select exists (%s)', outstanding) into is_changed;
    else
        execute format('select exists (select o.id from (%s) as o except select f.id from %I as f)', outstanding, fresh)
        into is_changed;
    end if;
    if is_changed then
        raise lock_not_available;
    end if;
    execute format('drop table %I', partition);
    if rows_left > 0 then
        execute format('alter table %I attach partition %I for values from (%L) to (%L)', parent, fresh, from_id, below_id);
        execute format('alter table %I drop constraint within', fresh);
        execute format('alter table %I rename to %I', fresh, partition);
    end if;
    if is_events then
        insert into retired_ids (of_table, after_id, below_id)
        values ('idempotency_keys', from_id, below_id), ('undelivered', from_id, below_id)
        on conflict on constraint retired_ids_pkey do update
        set after_id = excluded.after_id;
    end if;
    return case when rows_left = 0 then 'dropped' else 'replaced' end;
exception
    when lock_not_available then
        return 'busy';
    when no_data_found then
        return 'busy';
    when invalid_transaction_state then
        raise;
    when others then
        raise warning 'partition % cannot be retired: %', partition, sqlerrm;
        return 'failed';
end
$$;

create function forget_orphans(out deleted bigint, out more boolean)
language plpgsql
set search_path from current
set lock_timeout = '250ms'
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
    most_rows constant integer := 5000;
    span retired_ids;
    looked bigint;
    reached uuid;
begin
    deleted := 0;
    select r.of_table, r.after_id, r.below_id
    into span
    from retired_ids as r
    order by r.below_id, r.of_table
    limit 1
    for update skip locked;
    more := found;
    if not more then
        return;
    end if;
    execute format(
        'with looked as materialized (
            select r.ctid as tid, r.tenant_id, r.event_id
            from %1$I as r
            where r.event_id > $1
                and r.event_id < $2
            order by r.event_id
            fetch first %2$s rows with ties
        ),
        deleted as (
            delete from %1$I as r
            where r.ctid = any(array(
                select l.tid
                from looked as l
                left join lateral (
                    select true as is_there
                    from events as x
                    where x.tenant_id = l.tenant_id
                        and x.id = l.event_id
                    limit 1
                ) as e on true
                where e.is_there is null
            ))
            returning 1
        )
        select
            (select count(*) from deleted),
            (select l.event_id from looked as l order by l.event_id desc limit 1),
            (select count(*) from looked)',
        span.of_table, most_rows
    ) into deleted, reached, looked using span.after_id, span.below_id;
    if looked >= most_rows then
        update retired_ids as r
        set after_id = reached
        where r.of_table = span.of_table
            and r.below_id = span.below_id;
    else
        delete from retired_ids as r
        where r.of_table = span.of_table
            and r.below_id = span.below_id;
    end if;
exception when lock_not_available then
    deleted := 0;
    more := false;
end
$$;

-- Up to 1,000, without attempts and deliveries.
create function forget_subscriptions(deleted_before timestamptz) returns bigint
language plpgsql
set search_path from current
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
    gone bigint;
begin
    if not pg_try_advisory_xact_lock(hashtext(current_schema() || '.retention')) then
        return 0;
    end if;
    delete from subscriptions as s
    where s.deleted_at < deleted_before
        and s.id = any(array(
            select x.id
            from subscriptions as x
            left join lateral (
                select true as is_there
                from attempts as a
                where a.tenant_id = x.tenant_id
                    and a.subscription_id = x.id
                limit 1
            ) as attempt on true
            left join lateral (
                select true as is_there
                from deliveries as d
                where uuid_hash_extended(d.subscription_id, 0) = uuid_hash_extended(x.id, 0)
                    and d.subscription_id = x.id
                    and d.next_attempt_at < 'infinity'
                limit 1
            ) as delivery on true
            left join lateral (
                select true as is_there
                from deliveries as d
                where d.subscription_id = x.id
                    and d.ordering_key is not null
                limit 1
            ) as ordered on true
            where x.deleted_at < deleted_before
                and attempt.is_there is null
                and delivery.is_there is null
                and ordered.is_there is null
            limit 1000
        ));
    get diagnostics gone = row_count;
    return gone;
end
$$;
