-- api_keys/revoke($1 key id)
-- Ends a key for good; every replica notices within a second. No row when it is unknown or
-- revoked before.
update api_keys
set revoked_at = now()
where id = $1
    and revoked_at is null
returning id;
