-- analytics/event_volume: how many events of each type arrived per hour in the last 24 hours?
-- `bytes` is the size of their payloads.
select
    date_trunc('hour', e.accepted_at) as hour,
    e.event_type,
    count(*) as events,
    sum(octet_length(e.payload)) as bytes
from events as e
where e.id >= uuid_v7_floor(now() - interval '24 hours')
group by
    hour,
    e.event_type
order by
    hour desc,
    events desc
limit 1000;
