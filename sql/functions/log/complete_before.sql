-- log/complete_before()
-- Every row of events, attempts and undelivered that has an earlier time (accepted_at, written_at, ended_at) is
-- visible: the time is that of the transaction, and the server ends ours after 10 s (src/store/mod.rs). A commit that
-- waits for the disk or a standby has no such limit, so the mark waits for it; for no other transaction of anybody.
create function log_complete_before_1()
returns timestamptz
language plpgsql
set search_path from current
as $$
declare
    latest constant timestamptz := now() - interval '15 seconds';
begin
    return least(latest, (
        select min(a.xact_start)
        from pg_stat_activity as a
        where a.datname = current_database()
            and a.usename = current_user
            and a.backend_xid is not null
            and a.xact_start < latest
            and a.wait_event in ('SyncRep', 'WALSync', 'WALWrite')
    ));
end
$$;
