-- api_keys/open_session($1 tenant, $2 session, $3 capabilities, $4 hash, $5 seconds, $6 most live sessions, $7 actor)
-- `ends_at` is null if the tenant has as many already; no row if there is no live tenant.
select s.ends_at
from api_keys_open_session_1($1, $2, $3, $4, $5, $6, $7::text::jsonb) as s;
