-- replays/create($1 tenant, $2 id, $3 subscription, $4 statuses, $5 patterns, $6 after event, $7 before event, $8
-- rate, $9 most running replays of the tenant, $10 changed_by); no row at the limit, which two calls may exceed by one
insert into replays (tenant_id, id, subscription_id, statuses, event_types, after_id, below_id, rate, reached, changed_by)
select $1, $2, $3, $4, $5, $6, $7, $8, $6, $10::text::jsonb
where $9::bigint > (
    select count(*)
    from replays as r
    where r.tenant_id = $1
        and r.status = 'running'
)
returning
    id, subscription_id, selection::text as selection, is_to_matching, total, statuses, event_types, after_id, below_id, rate, status,
    replayed, created_at, ended_at;
