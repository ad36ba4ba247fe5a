-- publish_buckets/take($1 tenant, $2 events per second, $3 how many to take)
select b.granted, b.wait_seconds
from publish_buckets_take_1($1, $2, $3) as b;
