-- log/summarise()
-- Summarises full page ranges of today's BRIN indexes by time, which autovacuum may do only after minutes: until then
-- every reader by time walks them. Not the last range: each insert would have to update its summary. Newest first, up
-- to one that is summarised. Returns how many it summarised.
create function log_summarise_1()
returns bigint
language plpgsql
set search_path from current
set lock_timeout = '20ms'
as $$
declare
    most_ranges constant integer := 1000;
    pages_of_range constant integer := 32;
    today constant uuid := uuid_v7_floor(now());
    found record;
    range bigint;
    made integer;
    summarised bigint := 0;
begin
    for found in
        select i.inhrelid::regclass as index, pg_relation_size(x.indrelid) / 8192 / pages_of_range as ranges
        from partitions as p
        inner join pg_index as x
            on x.indrelid = to_regclass(p.partition)
        inner join pg_inherits as i
            on i.inhrelid = x.indexrelid
        where p.from_id <= today
            and p.below_id > today
            and i.inhparent in ('events_time'::regclass, 'attempts_time'::regclass)
    loop
        range := found.ranges - 1;
        while range >= 0 and range >= found.ranges - most_ranges loop
            made := brin_summarize_range(found.index, range * pages_of_range);
            exit when made = 0;
            summarised := summarised + made;
            range := range - 1;
        end loop;
    end loop;
    return summarised;
exception when lock_not_available then
    -- A vacuum is at work, which summarises too.
    return summarised;
end
$$;
