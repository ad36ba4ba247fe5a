-- replays/begin($1 tenant, $2 id, $3 filters, $4 to the subscriptions that match now, $5 event below which, $6 rate,
-- $7 deliveries or null, $8 most running replays of the tenant, $9 changed_by); no row at the limit, which two calls may
-- exceed by one
insert into replays (
    tenant_id, id, statuses, selection, is_to_matching, total, after_id, below_id, rate, reached, reached_subscription, changed_by
)
select
    $1,
    $2,
    '{}',
    $3::text::jsonb,
    $4,
    $7,
    coalesce(
        uuid_v7_floor(($3::text::jsonb ->> 'since')::timestamptz), '00000000-0000-0000-0000-000000000000'
    ),
    $5,
    $6,
    $5,
    '00000000-0000-0000-0000-000000000000',
    $9::text::jsonb
where $8::bigint > (
    select count(*)
    from replays as r
    where r.tenant_id = $1
        and r.status = 'running'
)
returning
    id, subscription_id, selection::text as selection, is_to_matching, total, statuses, event_types, after_id, below_id, rate, status,
    replayed, created_at, ended_at;
