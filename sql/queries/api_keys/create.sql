-- api_keys/create($1 tenant id if it is new, $2 tenant name, $3 key id, $4 scope,
--     $5 SHA-256 of the secret half)
-- Makes the tenant if there is none of this name, and the key; returns the tenant's id.
with owner as (
    insert into tenants (id, name)
    values ($1, $2)
    on conflict (name) do update
    set name = excluded.name
    returning id
)
insert into api_keys (tenant_id, id, scope, secret_hash)
select
    owner.id,
    $3,
    $4,
    $5
from owner
returning tenant_id;
