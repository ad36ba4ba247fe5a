-- api_keys/create($1 new tenant id, $2 tenant's id or external id or null, $3 key id, $4 name, $5 scope,
-- $6 SHA-256 of the secret half, $7 expiry, $8 actor as JSON text)
select
    k.owner,
    k.is_made,
    now() as created_at
from api_keys_create_1($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb) as k;
