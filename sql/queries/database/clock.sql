-- database/clock()
-- The database's wall clock, and whether a commit is on disk before it is answered.
select
    clock_timestamp() as now,
    current_setting('synchronous_commit') as synchronous_commit;
