-- tenants/changes($1 since when, or null for only the time): one row, with the time of this statement
select
    array(
        select t.id
        from tenants as t
        where t.updated_at > $1::timestamptz
            and t.updated_at <> t.created_at
        union
        select t.id
        from tenants as t
        where t.schemas_changed_at > $1::timestamptz
    ) as tenants,
    array(
        select k.id
        from api_keys as k
        where k.revoked_at > $1::timestamptz
    ) as keys,
    now() as looked_at;
