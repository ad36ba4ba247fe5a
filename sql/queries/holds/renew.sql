-- holds/renew($1 subscriptions, $2 reason, $3 owner, $4 seconds from now)
-- States that the owner lives and will release the parked rows of these subscriptions.
insert into holds (tenant_id, subscription_id, reason, owner, until)
select s.tenant_id, s.id, $2::text, $3::uuid, now() + make_interval(secs => $4::double precision)
from subscriptions as s
where s.id = any($1::uuid[])
on conflict (subscription_id, reason, ordering_key, owner) do update
set until = excluded.until;
