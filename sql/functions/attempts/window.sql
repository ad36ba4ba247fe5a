-- attempts/window(subscriptions, or null for all of all tenants; smallest id, id below which; width in seconds, most
-- attempts)
-- Keys of the attempts in a window of time that ends there: each subscription's by its key; those of all by the BRIN
-- index of ids, so bitmaps are on, whatever the caller set. A window with more attempts is made shorter. Its begin is the
-- next one's end, and the next width is a guess.
create function attempts_window_1(
    of_subscriptions uuid[],
    from_id uuid,
    top_id uuid,
    inout width double precision,
    most_attempts bigint,
    out tenant_ids uuid[],
    out subscription_ids uuid[],
    out ids uuid[],
    out lower_id uuid
)
language plpgsql stable
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = on
set enable_sort = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
    ends constant timestamptz := least(uuid_v7_time(top_id), now() + interval '1 minute');
    is_shorter boolean := false;
begin
    loop
        lower_id := greatest(uuid_v7_floor(greatest(ends - make_interval(secs => width), 'epoch')), from_id);
        if of_subscriptions is null then
            select
                coalesce(array_agg(w.tenant_id), '{}'),
                coalesce(array_agg(w.subscription_id), '{}'),
                coalesce(array_agg(w.id), '{}')
            into tenant_ids, subscription_ids, ids
            from (
                select a.tenant_id, a.subscription_id, a.id
                from attempts as a
                where a.id >= lower_id
                    and a.id < top_id
                limit most_attempts + 1
            ) as w;
        else
            select
                coalesce(array_agg(w.tenant_id), '{}'),
                coalesce(array_agg(w.subscription_id), '{}'),
                coalesce(array_agg(w.id), '{}')
            into tenant_ids, subscription_ids, ids
            from (
                select s.tenant_id, s.id as subscription_id, a.id
                from unnest(of_subscriptions) as u (id)
                cross join lateral (
                    select x.tenant_id, x.id
                    from subscriptions as x
                    where x.id = u.id
                    limit 1
                ) as s
                cross join lateral (
                    select x.id
                    from attempts as x
                    where x.tenant_id = s.tenant_id
                        and x.subscription_id = s.id
                        and x.id >= lower_id
                        and x.id < top_id
                    order by x.id desc
                    limit most_attempts + 1
                ) as a
                limit most_attempts + 1
            ) as w;
        end if;
        exit when cardinality(ids) <= most_attempts or width < 0.002;
        width := width / 4;
        is_shorter := true;
    end loop;
    -- What made it shorter comes next.
    width := width * case when cardinality(ids) < most_attempts / 16 and not is_shorter then 8 else 1 end;
end
$$;
