-- deliveries/size()
select
    t.n_live_tup as live_rows,
    t.n_dead_tup as dead_rows,
    pg_table_size(t.relid) as table_bytes,
    pg_indexes_size(t.relid) as index_bytes
from pg_stat_user_tables as t
where t.relid = 'deliveries'::regclass;
