-- events/concern(tenant, event, subscriptions)
-- Whether the event has a delivery to one of them. The tenant of attempts as text, as in attempts/read.
create function events_concern_1(tenant uuid, event uuid, of_subscriptions uuid[]) returns boolean
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
    return exists (
        select 1
        from unnest(of_subscriptions) as s (id)
        where exists (
                select 1
                from deliveries as d
                where d.event_id = event
                    and d.subscription_id = s.id
                    and d.tenant_id = tenant
            )
            or exists (
                select 1
                from undelivered as u
                where u.tenant_id = tenant
                    and u.event_id = event
                    and u.subscription_id = s.id
            )
            or exists (
                select 1
                from attempts as a
                where a.event_id = event
                    and a.subscription_id = s.id
                    and a.tenant_id::text = tenant::text
                    and a.id >= uuid_v7_floor(uuid_v7_time(event) - interval '10 minutes')
                    and a.outcome = 'delivered'
                    and a.trigger is distinct from 'test'
            )
    );
end
$$;
