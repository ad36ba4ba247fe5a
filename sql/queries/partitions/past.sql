-- partitions/past($1 how long events are kept, $2 how long attempts are, in seconds)
-- Partitions that are past their retention, in the order in which they are retired.
select p.parent, p.partition
from past_partitions(
    make_interval(secs => $1::double precision),
    make_interval(secs => $2::double precision)
) as p;
