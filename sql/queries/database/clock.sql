-- database/clock()
select
    clock_timestamp() as now,
    current_setting('synchronous_commit') as synchronous_commit;
