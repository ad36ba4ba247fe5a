-- workers/leave($1 worker)
delete from workers as w
where w.id = $1::uuid;
