-- rollups/forget(most rows of each table)
-- Deletes minutes that are older than 48 hours, and hours that are older than 90 days; also of the queue's depth. One
-- process at a time. Returns how many rows.
create function rollups_forget_1(most_rows bigint)
returns bigint
language plpgsql
set search_path from current
set enable_seqscan = off
as $$
declare
    minutes_before constant timestamptz := now() - interval '48 hours';
    hours_before constant timestamptz := now() - interval '90 days';
    gone bigint;
    forgotten bigint := 0;
begin
    if not pg_try_advisory_xact_lock(hashtext(current_schema() || '.rollups')) then
        return 0;
    end if;
    delete from rollup_minutes as r
    where r.ctid = any(array(select x.ctid from rollup_minutes as x where x.at < minutes_before order by x.at limit most_rows));
    get diagnostics gone = row_count;
    forgotten := forgotten + gone;
    delete from rollup_hours as r
    where r.ctid = any(array(select x.ctid from rollup_hours as x where x.at < hours_before order by x.at limit most_rows));
    get diagnostics gone = row_count;
    forgotten := forgotten + gone;
    delete from rollup_types as r
    where r.ctid = any(array(select x.ctid from rollup_types as x where x.at < hours_before order by x.at limit most_rows));
    get diagnostics gone = row_count;
    forgotten := forgotten + gone;
    delete from rollup_subscriptions as r
    where r.ctid = any(array(
        select x.ctid from rollup_subscriptions as x where x.at < hours_before order by x.at limit most_rows
    ));
    get diagnostics gone = row_count;
    forgotten := forgotten + gone;
    delete from queue_depth_minutes as q
    where q.ctid = any(array(
        select x.ctid from queue_depth_minutes as x where x.at < minutes_before order by x.at limit most_rows
    ));
    get diagnostics gone = row_count;
    forgotten := forgotten + gone;
    delete from queue_depth_hours as q
    where q.ctid = any(array(
        select x.ctid from queue_depth_hours as x where x.at < hours_before order by x.at limit most_rows
    ));
    get diagnostics gone = row_count;
    return forgotten + gone;
end
$$;
