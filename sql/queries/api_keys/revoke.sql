-- api_keys/revoke($1 key id)
-- Ends a key for good; every replica notices within a second. Returns when it was revoked
-- before, null for a key that lived until now; no row when it is unknown.
with ended as (
    update api_keys
    set revoked_at = now()
    where id = $1
        and revoked_at is null
)
select revoked_at as revoked_before
from api_keys
where id = $1;
