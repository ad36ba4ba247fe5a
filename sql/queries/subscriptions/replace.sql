-- subscriptions/replace($1 tenant, $2 id, $3 version expected, $4 target URL,
--     $5 sealed secret, $6 event types, $7 description, $8 is active, $9 verify ingest,
--     $10 retry schedule, $11 attempts it allows, $12 request timeout in ms, $13 rate limit,
--     $14 most in flight, $15 is ordered, $16 skip after attempts,
--     $17 external id, $18 metadata as JSON text, $19 names of headers,
--     $20 type of authorization, $21 both, sealed)
-- Writes all that its owner decides and raises the version; enabling clears the reason of a
-- disabling, and a secret sealed anew ends all older ones. No row when it was written or deleted in between: read again, try again.
update subscriptions
set
    version = later_version(version),
    target_url = $4,
    secret = $5,
    older_secrets = case when secret = $5 then older_secrets else '{}' end,
    older_until = case when secret = $5 then older_until else '{}' end,
    event_types = $6,
    description = $7,
    is_active = $8,
    disabled_reason = case when not $8 then disabled_reason end,
    verify_ingest = $9,
    retry_schedule = $10,
    max_attempts = $11,
    request_timeout_ms = $12,
    rate_limit = $13,
    max_in_flight = $14,
    is_ordered = $15,
    skip_after_attempts = $16,
    external_id = $17,
    metadata = $18::text::jsonb,
    header_names = $19,
    auth_type = $20,
    sealed_headers = $21,
    updated_at = clock_timestamp()
where tenant_id = $1
    and id = $2
    and version = $3
    and deleted_at is null
returning version, disabled_reason, created_at, updated_at;
