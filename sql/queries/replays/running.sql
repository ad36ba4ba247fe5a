-- replays/running($1 most rows)
select r.tenant_id, r.id
from replays as r
where r.status = 'running'
    and r.stepped_at <= now() - interval '900 milliseconds'
order by r.stepped_at
limit $1;
