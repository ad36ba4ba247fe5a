-- deliveries/notify($1 what is due)
-- Tells listening workers what is due (store::Due): a hint, sent rarely. Polling is the promise.
select pg_notify('postrider_due', $1::text);
