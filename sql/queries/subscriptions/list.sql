-- subscriptions/list($1 tenant, $2 id below which or null, $3 most rows)
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
from subscriptions
where tenant_id = $1
    and id < coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
    and deleted_at is null
order by id desc
limit $3;
