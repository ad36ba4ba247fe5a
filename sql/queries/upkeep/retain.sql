-- upkeep/retain($1 how long events are kept, in seconds, $2 how long attempts are, in seconds)
-- Retires what is older. It commits as it goes: what a broken connection interrupts is what
-- was not committed yet. Returns which partitions were dropped, replaced and postponed, and
-- how many rows of other tables were deleted.
call apply_retention(
    make_interval(secs => $1::double precision),
    make_interval(secs => $2::double precision)
);
