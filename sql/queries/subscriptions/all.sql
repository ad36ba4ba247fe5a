-- subscriptions/all($1 tenant)
-- A list and its version at one moment; one row without a subscription if there is none.
select
    t.subscriptions_version,
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
left join subscriptions as s
    on s.tenant_id = t.id
    and s.deleted_at is null
where t.id = $1
order by s.id;
