-- events/status(tenant, event, whether nobody wanted it when it was published)
-- 'pending' while any delivery is, then 'failed' if one ended without success, else 'succeeded', or 'no_match' if there
-- is none. The tenant of attempts as text, as in attempts/read.
create function events_status_1(tenant uuid, event uuid, was_unmatched boolean) returns text
language plpgsql stable
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
    has_queued boolean;
    has_live boolean;
begin
    select count(*) > 0, coalesce(bool_or(q.status in ('pending', 'sending', 'held')), false)
    into has_queued, has_live
    from queued_deliveries as q
    where q.event_id = event
        and q.tenant_id = tenant;
    return case
        when has_live then 'pending'
        when has_queued then 'failed'
        when exists (
            select 1
            from undelivered as u
            where u.tenant_id = tenant
                and u.event_id = event
        ) then 'failed'
        when was_unmatched is not true then 'succeeded'
        when exists (
            select 1
            from attempts as a
            where a.event_id = event
                and a.tenant_id::text = tenant::text
                and a.id >= uuid_v7_floor(uuid_v7_time(event) - interval '10 minutes')
                and a.outcome = 'delivered'
                and a.trigger is distinct from 'test'
        ) then 'succeeded'
        else 'no_match'
    end;
end
$$;
