-- replicas/leave($1 replica)
delete from replicas as r
where r.id = $1::uuid;
