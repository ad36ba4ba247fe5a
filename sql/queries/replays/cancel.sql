-- replays/cancel($1 tenant, $2 replay)
-- Ends a replay that runs: what it has not come to stays as it is. No effect on one that has
-- ended.
update replays as r
set
    status = 'cancelled',
    ended_at = now()
where r.tenant_id = $1
    and r.id = $2
    and r.status = 'running';
