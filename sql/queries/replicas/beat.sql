-- replicas/beat($1 replica, $2 its role, $3 version of the program, $4 most seconds of its leases, $5 deliveries in its
-- memory, $6 seconds until it is lost): those that deliver
select r.id, r.is_lost
from replicas_beat_1($1, $2, $3, $4, $5, $6) as r;
