-- queue_depth/measure($1 most deliveries to count, $2 most tenants, $3 least time between two counts, in times that the last
-- took)
select queue_depth_measure_1($1, $2, $3) as examined;
