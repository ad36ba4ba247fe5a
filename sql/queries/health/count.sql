-- health/count()
select
    coalesce(h.state, 'failing') as state,
    count(*) as subscriptions
from subscription_health as h
where h.state is not null
    or h.failures > 0
group by h.state;
