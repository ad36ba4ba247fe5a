-- replays/cancel($1 tenant, $2 replay)
update replays as r
set
    status = 'cancelled',
    ended_at = now()
where r.tenant_id = $1
    and r.id = $2
    and r.status = 'running';
