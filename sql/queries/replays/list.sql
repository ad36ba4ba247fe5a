-- replays/list($1 tenant, $2 this one alone, or null for all, $3 of this subscription, or null
--   for all, $4 below this id, or null, $5 rows at most)
-- Replays of a tenant, newest first.
select
    r.id,
    r.subscription_id,
    r.statuses,
    r.event_types,
    r.after_id,
    r.below_id,
    r.rate,
    r.status,
    r.replayed,
    r.created_at,
    r.ended_at
from replays as r
where r.tenant_id = $1
    and ($2::uuid is null or r.id = $2)
    and ($3::uuid is null or r.subscription_id = $3)
    and ($4::uuid is null or r.id < $4)
order by r.id desc
limit $5;
