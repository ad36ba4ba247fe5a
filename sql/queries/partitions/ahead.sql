-- partitions/ahead()
select least(
    count(*) filter (where p.parent = 'events'),
    count(*) filter (where p.parent = 'attempts')
) as days
from partitions as p
where p.from_id > uuid_v7_floor(now());
