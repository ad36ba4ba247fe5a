-- partitions/ensure($1 days behind, $2 days ahead)
select ensure_partitions(
    (now() at time zone 'UTC')::date - $1::integer,
    (now() at time zone 'UTC')::date + $2::integer
) as made;
