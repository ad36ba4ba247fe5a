-- workers/leave($1 worker)
-- The worker has stopped in order: none of its leases has to be looked for.
delete from workers as w
where w.id = $1::uuid;
