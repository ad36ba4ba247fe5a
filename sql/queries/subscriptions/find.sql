-- subscriptions/find($1 id)
-- For ingest with only a signature, which does not know the tenant. No row if it or its tenant is deleted.
select
    tenant_id,
    id,
    version,
    target_url,
    secret,
    older_secrets,
    older_until,
    event_types,
    filter,
    description,
    is_active,
    coalesce(disabled_reason, disabled_by) as disabled_reason,
    verify_ingest,
    external_id,
    metadata::text as metadata,
    header_names,
    auth_type,
    sealed_headers,
    retry_schedule,
    request_timeout_ms,
    rate_limit,
    max_in_flight,
    is_ordered,
    skip_after_attempts,
    ingest::text as ingest,
    ingest_secret,
    created_at,
    updated_at,
    now() as looked_at
from subscriptions as s
where s.id = $1
    and s.deleted_at is null
    and exists (
        select 1
        from tenants as t
        where t.id = s.tenant_id
            and t.deleted_at is null
    );
