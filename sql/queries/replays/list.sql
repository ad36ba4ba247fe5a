-- replays/list($1 tenant, $2 id or null, $3 subscriptions or null, $4 id below which or null, $5 most rows)
select
    r.id,
    r.subscription_id,
    r.selection::text as selection,
    r.is_to_matching,
    r.total,
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
    and ($3::uuid[] is null or r.subscription_id = any($3) or r.selection -> 'subscription_id' ?| $3::text[])
    and ($4::uuid is null or r.id < $4)
order by r.id desc
limit $5;
