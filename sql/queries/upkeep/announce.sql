-- upkeep/announce($1 times of failing after which a warning is given, in seconds,
--   $2 least time between two reports of failed deliveries, in seconds)
-- Writes the events that tell tenants how their subscriptions fare, each change once, some
-- of them a call. One process at a time does it. Returns how many changes were noted, be
-- anybody asking or not, and for how many an event was written.
select news.told, news.written
from announce_news($1::double precision[], $2::double precision) as news;
