-- attempts/newest(tenant, event, subscription, smallest id of the event's attempts)
-- The newest attempt of a delivery, found by its event. The fence "offset 0" keeps the log of its subscription from being
-- walked instead, which may be long: that index is in the order asked for.
create function attempts_newest_1(
    tenant uuid,
    event uuid,
    subscription uuid,
    first_attempt uuid,
    out outcome text,
    out status_code smallint,
    out error_message text,
    out created_at timestamptz
)
language plpgsql stable
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
begin
    select a.outcome, a.status_code, a.error_message, a.created_at
    into outcome, status_code, error_message, created_at
    from (
        select x.tenant_id, x.id, x.outcome, x.status_code, x.error_message, x.created_at
        from attempts as x
        where x.event_id = event
            and x.subscription_id = subscription
            and x.id >= first_attempt
            and x.trigger is distinct from 'test'
        offset 0
    ) as a
    where a.tenant_id = tenant
    order by a.id desc
    limit 1;
end
$$;
