-- api_keys/create($1 tenant id if it is new, $2 tenant name, $3 key id, $4 scope,
--     $5 SHA-256 of the secret half)
-- Makes the tenant if there is none of this name, and the key; returns the tenant's id.
select api_keys_create_1($1, $2, $3, $4, $5) as tenant_id;
