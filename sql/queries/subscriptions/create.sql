-- subscriptions/create($1 tenant, $2 id, $3 target URL, $4 sealed secret, $5 event types,
--     $6 description, $7 is active, $8 verify ingest, $9 retry schedule, $10 attempts it
--     allows, $11 request timeout in ms, $12 rate limit, $13 most in flight, $14 is ordered,
--     $15 skip after attempts, $16 external id, $17 metadata as JSON text,
--     $18 names of headers, $19 type of authorization, $20 both, sealed)
-- Writes a new subscription at version 1; returns what the database decides. An external id
-- that another has breaks subscriptions_external_id.
insert into subscriptions (
    tenant_id, id, target_url, secret, event_types, description, is_active, verify_ingest, retry_schedule,
    max_attempts, request_timeout_ms, rate_limit, max_in_flight, is_ordered, skip_after_attempts, external_id, metadata, header_names, auth_type, sealed_headers
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17::text::jsonb, $18, $19, $20)
returning version, disabled_reason, created_at, updated_at;
