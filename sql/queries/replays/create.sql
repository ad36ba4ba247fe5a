-- replays/create($1 tenant, $2 id, $3 subscription, $4 statuses, $5 patterns of event types,
--   $6 events after this id, $7 and before this one, $8 most deliveries a second,
--   $9 most replays of a tenant that run at a time)
-- Begins a replay. No row where as many run as may; of two that begin at the same moment either
-- may be one more.
insert into replays (tenant_id, id, subscription_id, statuses, event_types, after_id, below_id, rate, reached)
select $1, $2, $3, $4, $5, $6, $7, $8, $6
where $9::bigint > (
    select count(*)
    from replays as r
    where r.tenant_id = $1
        and r.status = 'running'
)
returning id, subscription_id, statuses, event_types, after_id, below_id, rate, status, replayed, created_at, ended_at;
