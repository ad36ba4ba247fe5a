-- deliveries/lacking($1 tenant, $2 events and $3 subscriptions, one element each)
-- Those whose delivery neither waits nor has succeeded, newest event first. The tenant as text, as in attempts/read.
select w.event_id, w.subscription_id
from unnest($2::uuid[], $3::uuid[]) as w (event_id, subscription_id)
left join lateral (
    select true as is_there
    from deliveries as x
    where x.event_id = w.event_id
        and x.subscription_id = w.subscription_id
    limit 1
) as queued on true
left join lateral (
    select true as is_there
    from attempts as x
    where x.event_id = w.event_id
        and x.subscription_id = w.subscription_id
        and x.tenant_id::text = $1::uuid::text
        and x.id >= uuid_v7_floor(uuid_v7_time(w.event_id) - interval '10 minutes')
        and x.outcome = 'delivered'
        and x.trigger is distinct from 'test'
    limit 1
) as delivered on true
where queued.is_there is null
    and delivered.is_there is null
order by w.event_id desc, w.subscription_id desc;
