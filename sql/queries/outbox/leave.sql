-- outbox/leave($1 process)
update outbox_lease as l
set ends_at = '-infinity'
where l.holder = $1;
