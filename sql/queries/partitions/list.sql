-- partitions/list($1 most rows): newest first; from catalogs alone
select
    p.parent,
    p.partition,
    uuid_v7_time(p.from_id) as since,
    uuid_v7_time(p.below_id) as until,
    coalesce(pg_total_relation_size(c.oid), 0) as bytes
from (
    select x.parent, x.partition, x.from_id, x.below_id
    from partitions as x
    where x.from_id is not null
        and x.below_id is not null
    order by x.from_id desc, x.parent
    limit $1
) as p
inner join pg_class as c
    on c.oid = to_regclass(quote_ident(p.partition))
order by p.from_id desc, p.parent;
