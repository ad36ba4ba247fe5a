-- outbox/size($1 most rows to count)
select
    count(*) as waiting,
    coalesce(extract(epoch from now() - uuid_v7_time(min(o.id::text)::uuid)), 0)::double precision as oldest_seconds
from (
    select x.id
    from outbox as x
    order by x.id
    limit $1
) as o;
