-- analytics/event_volume: how many events of each type came in, by hour, of the last 24 hours?
-- Newest hour first, most events first.
--   hour        beginning of the hour
--   event_type  null for events without a type
--   events      how many were accepted
--   bytes       size of their payloads together
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
