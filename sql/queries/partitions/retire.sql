-- partitions/retire($1 parent, $2 partition)
-- Retires one partition; returns what became of it, as retire_partition says.
select retire_partition($1, $2) as fate;
