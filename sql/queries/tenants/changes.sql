-- tenants/changes($1 since when, or null for nothing but the time)
-- The tenants that were changed or deleted and the keys that were revoked since, in one row, and the time of the look.
select
    array(
        select t.id
        from tenants as t
        where t.updated_at > $1::timestamptz
            and t.updated_at <> t.created_at
    ) as tenants,
    array(
        select k.id
        from api_keys as k
        where k.revoked_at > $1::timestamptz
    ) as keys,
    now() as looked_at;
