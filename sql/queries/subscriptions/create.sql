-- subscriptions/create($1 tenant, $2 id, $3 target URL, $4 sealed secret, $5 event types, $6 description, $7 is
-- active, $8 verify ingest, $9 schedule, $10 timeout in ms, $11 rate, $12 in flight, $13 is ordered, $14 skip after,
-- $15 external id, $16 metadata, $17 names of headers, $18 type of authorization, $19 both sealed, $20 changed_by)
insert into subscriptions (
    tenant_id, id, target_url, secret, event_types, description, is_active, verify_ingest, retry_schedule,
    request_timeout_ms, rate_limit, max_in_flight, is_ordered, skip_after_attempts, external_id, metadata, header_names,
    auth_type, sealed_headers, changed_by, disabled_by
)
values (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16::text::jsonb, $17, $18, $19,
    $20::text::jsonb, case when not $7 then by_whom($20::text::jsonb, now()) end
)
returning version, coalesce(disabled_reason, disabled_by) as disabled_reason, created_at, updated_at;
