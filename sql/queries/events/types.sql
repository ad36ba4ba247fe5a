-- events/types($1 tenant, $2 events); those that were published to all interested subscriptions, newest first
select e.id, e.event_type
from unnest($2::uuid[]) as wanted (id)
cross join lateral (
    select x.id, x.event_type
    from events as x
    where x.tenant_id = $1
        and x.id = wanted.id
        and x.fan_out
        and x.about is null
    limit 1
) as e
order by e.id desc;
