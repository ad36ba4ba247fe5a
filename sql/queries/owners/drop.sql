-- owners/drop($1 worker, $2 subscriptions)
delete from owners as o
where o.subscription_id = any($2::uuid[])
    and o.owner = $1::uuid;
