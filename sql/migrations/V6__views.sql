-- Reading the queue and its log with plain SQL.

-- Bytes as text: UTF-8 where they are that, escaped where they are not. Never fails.
create function readable(bytes bytea) returns text
language plpgsql immutable strict parallel safe as $$
begin
    return convert_from(bytes, 'UTF8');
exception when others then
    return encode(bytes, 'escape');
end
$$;

-- The delivery log as its users know it.
create view delivery_logs as
select
    a.id,
    a.subscription_id,
    a.event_id as webhook_id,
    a.event_type,
    e.payload,
    a.attempt_number::integer as attempt_number,
    a.status_code::integer as status_code,
    readable(a.response_body) as response_body,
    a.error_message,
    a.outcome = 'delivered' as is_success,
    a.created_at
from attempts as a
left join events as e
    on e.tenant_id = a.tenant_id
    and e.id = a.event_id;

-- One status for each event and subscription, whatever table it stands in.
create view all_deliveries as
select
    d.tenant_id,
    d.event_id,
    d.subscription_id,
    case
        when s.deleted_at is not null then 'cancelled'
        when not s.is_active or d.held_for is not null then 'held'
        when d.lease is not null and d.next_attempt_at > now() then 'sending'
        else 'pending'
    end as status,
    case
        when s.deleted_at is not null then 'subscription_deleted'
        when not s.is_active then 'disabled'
        else d.held_for
    end as reason,
    d.attempts::integer as attempts,
    case
        when s.deleted_at is null and s.is_active and d.lease is null then nullif(d.next_attempt_at, 'infinity')
    end as next_attempt_at
from deliveries as d
inner join subscriptions as s
    on s.tenant_id = d.tenant_id
    and s.id = d.subscription_id
union all
select
    u.tenant_id,
    u.event_id,
    u.subscription_id,
    u.status,
    u.reason,
    u.attempts::integer,
    null::timestamptz
from undelivered as u
union all
-- A success is its attempt. A pending row beside it is a replay under way and wins.
select
    a.tenant_id,
    a.event_id,
    a.subscription_id,
    'succeeded',
    null,
    max(a.attempt_number)::integer,
    null::timestamptz
from attempts as a
where a.outcome = 'delivered'
    and not exists (
        select 1
        from deliveries as d
        where d.tenant_id = a.tenant_id
            and d.event_id = a.event_id
            and d.subscription_id = a.subscription_id
    )
    and not exists (
        select 1
        from undelivered as u
        where u.tenant_id = a.tenant_id
            and u.event_id = a.event_id
            and u.subscription_id = a.subscription_id
    )
group by a.tenant_id, a.event_id, a.subscription_id;

-- Which subscriptions have parked deliveries, and why: one index probe for each, however
-- many rows are parked.
create view parked_subscriptions as
with recursive parked as (
    (
        select d.subscription_id, d.held_for
        from deliveries as d
        where d.next_attempt_at = 'infinity'
        order by d.subscription_id, d.held_for
        limit 1
    )
    union all
    select next.subscription_id, next.held_for
    from parked as p
    cross join lateral (
        select d.subscription_id, d.held_for
        from deliveries as d
        where d.next_attempt_at = 'infinity'
            and (d.subscription_id, d.held_for) > (p.subscription_id, p.held_for)
        order by d.subscription_id, d.held_for
        limit 1
    ) as next
)
select parked.subscription_id, parked.held_for
from parked;
