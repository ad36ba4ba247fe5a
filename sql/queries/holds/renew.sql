-- holds/renew($1 tenants, $2 subscriptions, $3 reason, $4 owner, $5 seconds from now)
-- States that the owner lives and will release the parked rows of these subscriptions.
insert into holds (tenant_id, subscription_id, reason, owner, until)
select h.tenant_id, h.subscription_id, $3::text, $4::uuid, now() + make_interval(secs => $5::double precision)
from unnest($1::uuid[], $2::uuid[]) as h (tenant_id, subscription_id)
on conflict (subscription_id, reason, ordering_key, owner) do update
set until = excluded.until;
