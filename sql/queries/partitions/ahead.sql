-- partitions/ahead()
-- For how many days after today both partitioned tables have partitions.
select least(
    count(*) filter (where p.parent = 'events'),
    count(*) filter (where p.parent = 'attempts')
) as days
from partitions as p
where p.from_id > uuid_v7_floor(now());
