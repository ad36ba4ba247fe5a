-- subscriptions/create($1 tenant, $2 id, $3 target URL, $4 sealed secret, $5 event types,
--     $6 description, $7 is active, $8 verify ingest)
-- Writes a new subscription at version 1; returns what the database decides.
insert into subscriptions (
    tenant_id, id, target_url, secret, event_types, description, is_active, verify_ingest
)
values ($1, $2, $3, $4, $5, $6, $7, $8)
returning version, disabled_reason, created_at, updated_at;
