-- upkeep/dead_rows()
select coalesce(t.n_dead_tup, 0) as dead_rows
from pg_stat_user_tables as t
where t.relid = 'deliveries'::regclass;
