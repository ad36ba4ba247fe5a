-- Retention and new partitions by pg_cron, for a database that should keep its days in order
-- while no replica with a worker runs. Replicas do the same by themselves and need none of this;
-- where both run, whoever comes first does the work, so give both the same retention.
--
-- Run it in the database that pg_cron lives in (cron.database_name), as a role that owns
-- postrider's tables:
--
--     psql -d postgres -v database=postrider -v schema=public -f deploy/pg_cron.sql
--
-- The schema is the one that POSTRIDER_SCHEMA names, public if nothing does.
--
-- PostgreSQL needs shared_preload_libraries = 'pg_cron'. The jobs connect to cron.host as
-- the role that schedules them, which pg_hba.conf has to admit; with
-- cron.use_background_workers = on they need no connection. Scheduling a job of the same name
-- again replaces it, so this file can be changed and run again.

create extension if not exists pg_cron;

-- The partitions of yesterday and of the seven days ahead, every hour.
select cron.schedule_in_database(
    'postrider-partitions',
    '7 * * * *',
    format(
        $$select %I.ensure_partitions((now() at time zone 'UTC')::date - 1, (now() at time zone 'UTC')::date + 7)$$,
        :'schema'
    ),
    :'database'
);

-- What is older than the retention goes: events first, then attempts, which are kept for the
-- longer of both; 72 hours each, to be changed here. One partition a transaction: the block commits as it goes.
select cron.schedule_in_database(
    'postrider-retention',
    '*/5 * * * *',
    format(
        $job$
        do $$
        declare
            past record;
            fate text;
            busy_parent text := '';
            more boolean := true;
        begin
            for past in
                select p.parent, p.partition
                from %1$I.past_partitions('72 hours', '72 hours') as p
            loop
                -- While a lock on the parent is waited for, those who write wait: once is enough.
                continue when past.parent = busy_parent;
                fate := %1$I.retire_partition(past.parent, past.partition);
                commit;
                if fate = 'busy' then
                    busy_parent := past.parent;
                end if;
            end loop;
            while more loop
                select f.more into more from %1$I.forget_orphans() as f;
                commit;
            end loop;
            perform %1$I.forget_subscriptions(now() - interval '96 hours');
        end
        $$
        $job$,
        :'schema'
    ),
    :'database'
);

-- How the last runs went; pg_cron keeps them all, so delete old ones now and then:
--
--     select j.jobname, r.start_time, r.end_time - r.start_time as took, r.status, r.return_message
--     from cron.job_run_details as r
--     inner join cron.job as j using (jobid)
--     order by r.start_time desc
--     limit 20;
--
--     delete from cron.job_run_details
--     where end_time < now() - interval '7 days';
--
-- To end it:
--
--     select cron.unschedule('postrider-partitions'), cron.unschedule('postrider-retention');
