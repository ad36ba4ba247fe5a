-- events/window(whether only unmatched ones, smallest event id, event below which, its width in seconds, most events)
-- The events of all tenants in a window of time that ends there, newest first, each tenant's by its own index. A window
-- with more events than that is made shorter. Its begin is the next one's end, and the next width is a guess.
create function events_window_1(
    only_unmatched boolean,
    from_event uuid,
    top_event uuid,
    inout width double precision,
    most_events bigint,
    out tenant_ids uuid[],
    out event_ids uuid[],
    out lower_event uuid
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
declare
    ends constant timestamptz := least(uuid_v7_time(top_event), now() + interval '1 minute');
begin
    loop
        lower_event := greatest(uuid_v7_floor(greatest(ends - make_interval(secs => width), 'epoch')), from_event);
        select coalesce(array_agg(w.tenant_id), '{}'), coalesce(array_agg(w.id), '{}')
        into tenant_ids, event_ids
        from (
            select t.id as tenant_id, e.id
            from tenants as t
            cross join lateral (
                select x.id
                from events as x
                where not only_unmatched
                    and x.tenant_id = t.id
                    and x.id >= lower_event
                    and x.id < top_event
                union all
                select x.id
                from events as x
                where only_unmatched
                    and x.is_unmatched
                    and x.tenant_id = t.id
                    and x.id >= lower_event
                    and x.id < top_event
            ) as e
            limit most_events + 1
        ) as w;
        exit when cardinality(event_ids) <= most_events or width < 0.002;
        width := width / 4;
    end loop;
    width := width * case when cardinality(event_ids) < most_events / 16 then 8 else 1 end;
end
$$;
