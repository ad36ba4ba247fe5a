-- events/counts(tenant, event, smallest id of its attempts, most deliveries to count in each table)
-- Deliveries by status; the tenant of attempts as text, as in attempts/read. If `more`, a table had more than were counted.
create function events_counts_1(
    tenant uuid,
    event uuid,
    first_attempt uuid,
    most bigint,
    out pending bigint,
    out sending bigint,
    out held bigint,
    out succeeded bigint,
    out failed bigint,
    out cancelled bigint,
    out expired bigint,
    out skipped bigint,
    out more boolean
)
language plpgsql stable
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
begin
    select
        count(*) filter (where k.status = 'pending'),
        count(*) filter (where k.status = 'sending'),
        count(*) filter (where k.status = 'held'),
        count(*) filter (where k.status = 'succeeded'),
        count(*) filter (where k.status = 'failed'),
        count(*) filter (where k.status = 'cancelled'),
        count(*) filter (where k.status = 'expired'),
        count(*) filter (where k.status = 'skipped'),
        count(*) filter (where k.of_table = 1) = most
        or count(*) filter (where k.of_table = 2) = most
        or count(*) filter (where k.of_table = 3) = most
    into pending, sending, held, succeeded, failed, cancelled, expired, skipped, more
    from (
        (
            select 1 as of_table, q.status
            from queued_deliveries as q
            where q.event_id = event
                and q.tenant_id = tenant
            limit most
        )
        union all
        (
            select 2, u.status
            from undelivered as u
            where u.tenant_id = tenant
                and u.event_id = event
            limit most
        )
        union all
        (
            select distinct on (a.subscription_id) 3, 'succeeded'
            from attempts as a
            where a.event_id = event
                and a.tenant_id::text = tenant::text
                and a.id >= first_attempt
                and a.outcome = 'delivered'
                and a.trigger is distinct from 'test'
                and not exists (
                    select 1
                    from deliveries as d
                    where d.event_id = event
                        and d.subscription_id = a.subscription_id
                )
                and not exists (
                    select 1
                    from undelivered as u
                    where u.tenant_id = tenant
                        and u.event_id = event
                        and u.subscription_id = a.subscription_id
                )
            order by a.subscription_id
            limit most
        )
    ) as k;
end
$$;
