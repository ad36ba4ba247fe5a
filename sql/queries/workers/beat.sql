-- workers/beat($1 worker, $2 version of the program, $3 seconds that its leases last at most, $4 seconds of
--   silence after which a worker is lost)
-- Writes a sign of life and returns every worker; sql/functions/workers/beat.sql says how.
select w.id, w.is_lost
from workers_beat_1($1, $2, $3, $4) as w;
