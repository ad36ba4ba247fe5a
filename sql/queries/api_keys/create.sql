-- api_keys/create($1 tenant id if it is made, $2 tenant's id or external id or null, $3 key id, $4 name,
--     $5 scope, $6 SHA-256 of the secret half, $7 expires at, $8 who makes it, as JSON text)
-- Makes a key, and its tenant where there is none with this external id; sql/functions/api_keys/create.sql says how.
select k.owner, k.is_made
from api_keys_create_1($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb) as k;
