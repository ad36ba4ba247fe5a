-- deliveries/estimate()
select coalesce(sum(t.n_live_tup), 0)::bigint as pending
from pg_stat_user_tables as t
where t.relid = 'deliveries'::regclass;
