-- analytics/storage_by_day: how much disk do each day's events and attempts use?
-- Of all tenants together, which share each day. Days in UTC. Rows are (auto)analyze's estimate; bytes include indexes.
with partitions as (
    select
        to_date(substring(c.relname from '[0-9]{8}'), 'YYYYMMDD') as day,
        i.inhparent = 'events'::regclass as is_events,
        nullif(c.reltuples, -1)::bigint as estimated_rows,
        pg_total_relation_size(c.oid) as bytes
    from pg_inherits as i
    inner join pg_class as c
        on c.oid = i.inhrelid
    where i.inhparent in ('events'::regclass, 'attempts'::regclass)
        and c.relkind = 'r'
)
select
    day,
    sum(estimated_rows) filter (where is_events) as events,
    sum(estimated_rows) filter (where not is_events) as attempts,
    sum(bytes) filter (where is_events) as events_bytes,
    sum(bytes) filter (where not is_events) as attempts_bytes,
    pg_size_pretty(sum(bytes)) as total
from partitions
where day <= (now() at time zone 'UTC')::date
group by day
order by day desc;
