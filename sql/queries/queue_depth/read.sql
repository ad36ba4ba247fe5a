-- queue_depth/read($1 minutes rather than hours, $2 tenant, nil: all together, $3 since, $4 until)
-- A row for each count, oldest first; with hours, one for each that has ended, and then one for each count. Null: of this
-- tenant it is not known.
select
    q.at,
    coalesce(q.pending, case when not q.is_cut then 0 end) as pending,
    coalesce(q.held, case when not q.is_cut then 0 end) as held
from (
    select a.at, t.pending, t.held, a.is_cut
    from queue_depth_hours as a
    left join queue_depth_hours as t
        on t.tenant_id = $2
        and t.at = a.at
    where not $1::boolean
        and a.tenant_id = '00000000-0000-0000-0000-000000000000'
        and a.at >= $3
        and a.at < $4
    union all
    select a.at, t.pending, t.held, a.is_cut
    from queue_depth_minutes as a
    left join queue_depth_minutes as t
        on t.tenant_id = $2
        and t.at = a.at
    where a.tenant_id = '00000000-0000-0000-0000-000000000000'
        and a.at >= greatest($3, case
            when not $1::boolean then (
                select max(h.at) + interval '1 hour'
                from queue_depth_hours as h
                where h.tenant_id = '00000000-0000-0000-0000-000000000000'
            )
        end)
        and a.at < $4
) as q
order by q.at;
