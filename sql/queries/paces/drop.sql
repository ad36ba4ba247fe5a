-- paces/drop($1 owner, $2 subscriptions)
-- The owner sends no more for these subscriptions: another may at once.
delete from paces as p
where p.subscription_id = any($2::uuid[])
    and p.owner = $1::uuid;
