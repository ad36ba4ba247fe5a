-- replays/cancel($1 tenant, $2 replay, $3 changed_by)
update replays as r
set
    status = 'cancelled',
    ended_at = now(),
    changed_by = $3::text::jsonb
where r.tenant_id = $1
    and r.id = $2
    and r.status = 'running';
