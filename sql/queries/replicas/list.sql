-- replicas/list($1 seconds until one is lost, $2 most rows): newest first
select
    r.id,
    r.role,
    r.version,
    r.started_at,
    r.heartbeat_at,
    r.heartbeat_at < now() - make_interval(secs => $1::double precision) as is_lost,
    r.backlog
from replicas as r
order by r.started_at desc, r.id
limit $2;
