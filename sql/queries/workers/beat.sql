-- workers/beat($1 worker, $2 version of the program, $3 most seconds of its leases, $4 seconds until it is lost)
select w.id, w.is_lost
from workers_beat_1($1, $2, $3, $4) as w;
