-- subscriptions/create($1 tenant, $2 id, $3 target URL, $4 sealed secret, $5 event types, $6 description, $7 is
-- active, $8 verify ingest, $9 schedule, $10 timeout in ms, $11 rate, $12 in flight, $13 is ordered, $14 skip after,
-- $15 external id, $16 metadata, $17 names of headers, $18 type of authorization, $19 both sealed, $20 ingest, $21 its
-- sealed secret, $22 filter, $23 changed_by, $24 most subscriptions of a tenant without a limit of its own, or null)
-- No row if the tenant is deleted or its limit is reached. The lock makes creations of one tenant wait for each other,
-- so that each sees the count of the one before.
insert into subscriptions (
    tenant_id, id, target_url, secret, event_types, description, is_active, verify_ingest, retry_schedule,
    request_timeout_ms, rate_limit, max_in_flight, is_ordered, skip_after_attempts, external_id, metadata, header_names,
    auth_type, sealed_headers, ingest, ingest_secret, filter, changed_by, disabled_by
)
select
    o.id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16::text::jsonb, $17, $18, $19,
    $20::text::jsonb, $21, $22, $23::text::jsonb, case when not $7 then by_whom($23::text::jsonb, now()) end
from (
    select t.id
    from tenants as t
    where t.id = $1
        and t.deleted_at is null
        and (
            coalesce(t.max_subscriptions, $24::integer) is null
            or t.subscription_count < coalesce(t.max_subscriptions, $24::integer)
        )
    for no key update
) as o
returning version, coalesce(disabled_reason, disabled_by) as disabled_reason, created_at, updated_at;
