-- subscriptions/changed($1 tenant, $2 list version, $3 ids)
-- The changes that make a list current, and these subscriptions as they are now, with the current list version; one
-- row without a subscription if there is none.
select
    t.subscriptions_version,
    s.deleted_at is not null as is_deleted,
    s.tenant_id,
    s.id,
    s.version,
    s.target_url,
    s.secret,
    s.older_secrets,
    s.older_until,
    s.event_types,
    s.description,
    s.is_active,
    s.disabled_reason,
    s.verify_ingest,
    s.external_id,
    s.metadata::text as metadata,
    s.header_names,
    s.auth_type,
    s.sealed_headers,
    s.retry_schedule,
    s.request_timeout_ms,
    s.rate_limit,
    s.max_in_flight,
    s.is_ordered,
    s.skip_after_attempts,
    s.created_at,
    s.updated_at,
    now() as looked_at
from tenants as t
left join lateral (
    select x.id
    from subscriptions as x
    -- Not by the key, which would read all subscriptions of the tenant.
    where uuid_hash_extended(x.tenant_id, 0) = uuid_hash_extended(t.id, 0)
        and x.tenant_id is not distinct from t.id
        and x.listed_version > $2
    union
    select asked.id
    from unnest($3::uuid[]) as asked (id)
) as c on true
left join lateral (
    select
        x.tenant_id,
        x.id,
        x.version,
        x.target_url,
        x.secret,
        x.older_secrets,
        x.older_until,
        x.event_types,
        x.description,
        x.is_active,
        x.disabled_reason,
        x.verify_ingest,
        x.external_id,
        x.metadata,
        x.header_names,
        x.auth_type,
        x.sealed_headers,
        x.retry_schedule,
        x.request_timeout_ms,
        x.rate_limit,
        x.max_in_flight,
        x.is_ordered,
        x.skip_after_attempts,
        x.created_at,
        x.updated_at,
        x.deleted_at
    from subscriptions as x
    where x.tenant_id = t.id
        and x.id = c.id
    limit 1
) as s on true
where t.id = $1;
