-- Daily partitions of events and attempts, made ahead of time.

-- Makes the partitions of the days from `from_day` through `through_day` that are
-- missing, and returns how many it made. A partition is built apart and then attached,
-- which does not block those who insert. Safe to run again and side by side.
create function ensure_partitions(from_day date, through_day date) returns integer
language plpgsql as $$
declare
    parent text;
    day date;
    partition text;
    made integer := 0;
begin
    perform pg_advisory_xact_lock(hashtext('postrider.partitions'));
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
