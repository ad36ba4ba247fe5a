-- api_keys/create($1 new tenant, $2 its id or external id, $3 key, $4 name, $5 scope, $6 hash, $7 expiry, $8 actor)
select
    k.owner,
    k.is_made,
    now() as created_at
from api_keys_create_1($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb) as k;
