-- events/not_delivered($1 tenant, $2 event, $3 most rows)
select s.id, s.external_id, s.target_url, s.event_types, s.filter, s.created_at
from subscriptions as s
where s.tenant_id = $1
    and s.deleted_at is null
    and not exists (
        select 1
        from deliveries as d
        where d.tenant_id = $1
            and d.event_id = $2
            and d.subscription_id = s.id
    )
    and not exists (
        select 1
        from undelivered as u
        where u.tenant_id = $1
            and u.event_id = $2
            and u.subscription_id = s.id
    )
    and not exists (
        select 1
        from attempts as a
        where a.tenant_id = $1
            and a.event_id = $2
            and a.subscription_id = s.id
            and a.outcome = 'delivered'
    )
order by s.id
limit $3;
