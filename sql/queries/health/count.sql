-- health/count()
-- How many subscriptions are failing, by what that has come to.
select
    coalesce(h.state, 'failing') as state,
    count(*) as subscriptions
from subscription_health as h
group by h.state;
