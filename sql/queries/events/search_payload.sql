-- events/search_payload($1 tenant or null for all, $2 bytes to find, $3 ordering key to find, $4 smallest id, $5 id below
-- which, $6 most rows, $7 milliseconds of work)
select s.examined_to, s.tenant_id, s.id, s.accepted_at
from events_search_payload_1($1, $2, $3, $4, $5, $6, $7) as s;
