-- database/old_snapshots($1 age in seconds): what keeps vacuum from removing rows
-- A role without pg_read_all_stats sees only its own.
select h.kind, h.name, h.detail, h.seconds
from (
    select
        'transaction' as kind,
        a.pid::text as name,
        format('%s of %s, %s', coalesce(nullif(a.application_name, ''), 'unnamed'), a.usename, a.state) as detail,
        extract(epoch from clock_timestamp() - a.xact_start)::double precision as seconds
    from pg_stat_activity as a
    where a.datname = current_database()
        and a.pid <> pg_backend_pid()
        and a.backend_type = 'client backend'
        and a.xact_start is not null
    union all
    select 'prepared', p.gid, p.owner::text, extract(epoch from clock_timestamp() - p.prepared)::double precision
    from pg_prepared_xacts as p
    where p.database = current_database()
    union all
    select
        'slot',
        r.slot_name::text,
        format('%s transactions behind', greatest(age(r.xmin), age(r.catalog_xmin))),
        null
    from pg_replication_slots as r
    where greatest(age(r.xmin), age(r.catalog_xmin)) > 1000000
) as h
where h.seconds is null
    or h.seconds > $1::double precision
order by h.seconds desc nulls last
limit 10;
