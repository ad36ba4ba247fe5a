-- subscriptions/replace($1 tenant, $2 id, $3 version expected, $4 to $23 as create has them from target URL on, $24
-- version stamp, $25 changed_by)
-- A newly sealed secret ends all older ones. No row if another write came first.
update subscriptions
set
    version = greatest(version + 1, $24::bigint),
    target_url = $4,
    secret = $5,
    older_secrets = case when secret = $5 then older_secrets else '{}' end,
    older_until = case when secret = $5 then older_until else '{}' end,
    event_types = $6,
    description = $7,
    is_active = $8,
    disabled_reason = case when not $8 then disabled_reason end,
    disabled_by = case
        when not $8 and is_active then by_whom($25::text::jsonb, now())
        when not $8 then disabled_by
    end,
    verify_ingest = $9,
    retry_schedule = $10,
    request_timeout_ms = $11,
    rate_limit = $12,
    max_in_flight = $13,
    is_ordered = $14,
    skip_after_attempts = $15,
    external_id = $16,
    metadata = $17::text::jsonb,
    header_names = $18,
    auth_type = $19,
    sealed_headers = $20,
    ingest = $21::text::jsonb,
    ingest_secret = $22,
    filter = $23,
    changed_by = $25::text::jsonb,
    updated_at = now()
where tenant_id = $1
    and id = $2
    and version = $3
    and deleted_at is null
returning version, coalesce(disabled_reason, disabled_by) as disabled_reason, created_at, updated_at;
