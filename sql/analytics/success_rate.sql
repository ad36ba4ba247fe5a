-- analytics/success_rate: how many deliveries of each subscription succeeded in the last 24 hours?
-- Worst first. A delivery counts once it has ended, whatever number of `attempts` it needed.
with made as (
    select
        a.subscription_id,
        count(*) as attempts,
        count(*) filter (where a.outcome = 'delivered') as succeeded
    from attempts as a
    where a.id >= uuid_v7_floor(now() - interval '24 hours')
        and a.trigger is distinct from 'test'
    group by a.subscription_id
),
lost as (
    select
        u.subscription_id,
        count(*) as deliveries
    from undelivered as u
    where u.ended_at >= now() - interval '24 hours'
    group by u.subscription_id
),
counted as (
    select
        subscription_id,
        coalesce(made.attempts, 0) as attempts,
        coalesce(made.succeeded, 0) as succeeded,
        coalesce(made.succeeded, 0) + coalesce(lost.deliveries, 0) as ended
    from made
    full join lost using (subscription_id)
)
select
    t.external_id as tenant,
    s.tenant_id,
    c.subscription_id,
    s.target_url,
    c.ended,
    c.succeeded,
    round(100.0 * c.succeeded / nullif(c.ended, 0), 1) as succeeded_percent,
    c.attempts,
    round(100.0 * c.succeeded / nullif(c.attempts, 0), 1) as attempts_percent
from counted as c
inner join subscriptions as s
    on s.id = c.subscription_id
inner join tenants as t
    on t.id = s.tenant_id
where case
    when current_setting('postrider.tenant', true) <> '' then t.external_id = current_setting('postrider.tenant', true)
    else true
end
order by
    succeeded_percent asc nulls first,
    c.ended desc
limit 100;
