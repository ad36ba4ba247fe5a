-- deliveries/notify($1 notice)
select pg_notify('postrider_due', $1::text);
