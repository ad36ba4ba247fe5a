-- upkeep/announce($1 times of failing after which a warning is given, in seconds,
--   $2 least time between two reports of failed deliveries, in seconds)
-- Writes the events that tell tenants how their subscriptions fare, each change once. One
-- process at a time does it. Returns how many events were written.
select announce($1::double precision[], $2::double precision)::bigint as announced;
