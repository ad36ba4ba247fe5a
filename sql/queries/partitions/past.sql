-- partitions/past($1 retention of events, $2 retention of attempts, in seconds)
select p.parent, p.partition
from past_partitions(
    make_interval(secs => $1::double precision),
    make_interval(secs => $2::double precision)
) as p;
