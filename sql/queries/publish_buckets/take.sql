-- publish_buckets/take($1 tenant, $2 events a second, $3 how many to take)
-- Takes from the tenant's bucket; sql/functions/publish_buckets/take.sql says how.
select b.granted, b.wait_seconds
from publish_buckets_take_1($1, $2, $3) as b;
