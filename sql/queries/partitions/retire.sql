-- partitions/retire($1 parent, $2 partition)
select retire_partition($1, $2) as fate;
