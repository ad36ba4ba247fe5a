-- Not parallel safe: the exception block starts a subtransaction.
create function readable(bytes bytea) returns text
language plpgsql immutable strict
set search_path from current
as $$
begin
    return convert_from(bytes, 'UTF8');
exception when others then
    return encode(bytes, 'escape');
end
$$;

-- Payloads are looked up only if selected, so that counting attempts reads no event.
create view delivery_logs as
select
    a.id,
    a.subscription_id,
    a.event_id as webhook_id,
    a.event_type,
    (
        select e.payload
        from events as e
        where e.tenant_id = a.tenant_id
            and e.id = a.event_id
    ) as payload,
    a.attempt_number,
    a.status_code::integer as status_code,
    readable(a.response_body) as response_body,
    a.error_message,
    a.outcome = 'delivered' as is_success,
    a.created_at,
    coalesce(a.trigger, 'fresh') as trigger,
    a.detail
from attempts as a;

-- Deliveries that have not ended, with the status that follows from their subscriptions.
create view queued_deliveries as
select
    d.tenant_id,
    d.event_id,
    d.subscription_id,
    case
        when s.deleted_at is not null then 'cancelled'
        when d.lease is not null and d.next_attempt_at > now() then 'sending'
        when d.expires_at = '-infinity' then 'cancelled'
        when d.expires_at <= now() then 'expired'
        when held.reason is not null then 'held'
        else 'pending'
    end as status,
    case
        when s.deleted_at is not null then 'subscription_deleted'
        when d.lease is not null and d.next_attempt_at > now() then null
        when d.expires_at = '-infinity' then 'requested'
        when d.expires_at <= now() then 'expires_at'
        else held.reason
    end as reason,
    d.attempts,
    case
        when s.deleted_at is null and d.lease is null and held.reason is null then d.next_attempt_at
    end as next_attempt_at
from deliveries as d
-- Keeps the join order: a query for one event must not walk the tenant's subscriptions.
cross join lateral (
    select x.deleted_at, x.is_active, x.breaker, x.rate_limit, x.max_in_flight
    from subscriptions as x
    where x.tenant_id = d.tenant_id
        and x.id = d.subscription_id
    limit 1
) as s
cross join lateral (
    select case
        when not s.is_active then 'disabled'
        when d.next_attempt_at = 'infinity' then 'ordered'
        when d.next_attempt_at > now() then null
        when s.breaker = 'open' then 'breaker_open'
        when s.breaker = 'throttled' then 'retry_after'
        when s.breaker = 'recovering' then 'recovering'
        when d.next_attempt_at > now() - interval '1 second' then null
        when s.rate_limit is not null then 'rate_limit'
        when s.max_in_flight is not null then 'concurrency'
    end as reason
) as held;

-- One status per event and subscription, from whichever table.
create view all_deliveries as
select
    q.tenant_id,
    q.event_id,
    q.subscription_id,
    q.status,
    q.reason,
    q.attempts,
    q.next_attempt_at
from queued_deliveries as q
union all
select
    u.tenant_id,
    u.event_id,
    u.subscription_id,
    u.status,
    u.reason,
    u.attempts,
    null::timestamptz
from undelivered as u
union all
-- A pending row of the same delivery is a replay and wins. A test is no delivery.
select
    a.tenant_id,
    a.event_id,
    a.subscription_id,
    'succeeded',
    null,
    max(a.attempt_number),
    null::timestamptz
from attempts as a
where a.outcome = 'delivered'
    and a.trigger is distinct from 'test'
    and not exists (
        select 1
        from deliveries as d
        where d.event_id = a.event_id
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
