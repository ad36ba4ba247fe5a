-- deliveries/notify()
-- Tells listening workers that rows are due: a hint, sent rarely. Polling is the promise.
select pg_notify('postrider_due', '');
