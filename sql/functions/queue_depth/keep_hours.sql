-- queue_depth/keep_hours()
-- Keeps the most of each hour that has ended since the last one that was kept. A tenant that one of the counts left out gets
-- no row: nobody knows what the most of it was.
create function queue_depth_keep_hours_1()
returns void
language plpgsql
set search_path from current
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
    together constant uuid := '00000000-0000-0000-0000-000000000000';
    hour constant timestamptz := date_trunc('hour', now(), 'UTC');
    kept_until constant timestamptz := coalesce(
        (select max(h.at) + interval '1 hour' from queue_depth_hours as h where h.tenant_id = together),
        '-infinity'
    );
begin
    insert into queue_depth_hours (tenant_id, at, pending, held, is_cut)
    select q.tenant_id, e.at, max(q.pending), max(q.held), e.is_cut
    from (
        select date_trunc('hour', m.at, 'UTC') as at, count(*) as counts, bool_or(m.is_cut) as is_cut
        from queue_depth_minutes as m
        where m.tenant_id = together
            and m.at >= kept_until
            and m.at < hour
        group by date_trunc('hour', m.at, 'UTC')
    ) as e
    inner join queue_depth_minutes as q
        on q.at >= e.at
        and q.at < e.at + interval '1 hour'
    group by
        q.tenant_id,
        e.at,
        e.counts,
        e.is_cut
    having q.tenant_id = together or not e.is_cut or count(*) = e.counts;
end
$$;
