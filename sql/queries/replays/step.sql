-- replays/step($1 tenant, $2 replay, $3 lifetime of a delivery, in seconds, $4 most events to
--   look at)
-- The next step of a replay: looks at the events that come next and owes those again that it
-- asks for, as many as are left of its rate in this second, less what is held of the subscription:
-- so what comes anew waits behind a second's worth at most, and a replay stands still, and looks at
-- nothing, while its subscription does. Its end is announced in the same commit. Returns
-- what it added, and whether it may be called again at once; no row when it is not its turn.
-- "lateral … limit 1" fixes the order of the joins: a plan made while a table was empty would
-- otherwise walk the whole table later.
with replay as materialized (
    select
        r.tenant_id,
        r.id,
        r.subscription_id,
        r.statuses,
        r.event_types,
        r.reached,
        r.below_id,
        -- Elsewhere than in the rows of what ended without success.
        r.statuses && array['succeeded', 'missed'] as walks_events,
        s.event_types as wanted_types,
        s.id is null as is_orphan,
        least(r.rate, s.rate_limit) as rate,
        r.stepped_at <= now() - interval '900 milliseconds' as is_fresh,
        case when r.stepped_at <= now() - interval '900 milliseconds' then 0 else r.stepped end as stepped
    from replays as r
    left join lateral (
        select x.id, x.event_types, x.rate_limit
        from subscriptions as x
        where x.tenant_id = r.tenant_id
            and x.id = r.subscription_id
            and x.deleted_at is null
        limit 1
    ) as s on true
    where r.tenant_id = $1
        and r.id = $2
        and r.status = 'running'
        and (r.stepped_at <= now() - interval '900 milliseconds' or r.stepped < least(r.rate, s.rate_limit))
    for update of r skip locked
),
room as materialized (
    select greatest(r.rate - r.stepped - waiting.rows, 0) as rows
    from replay as r
    cross join lateral (
        select count(*) as rows
        from (
            select 1
            from deliveries as d
            where d.subscription_id = r.subscription_id
                and d.next_attempt_at = 'infinity'
            limit r.rate
        ) as held
    ) as waiting
),
looked as materialized (
    select next.event_id
    from replay as r
    cross join lateral (
        (
            select u.event_id
            from undelivered as u
            where u.subscription_id = r.subscription_id
                and u.event_id > r.reached
                and u.event_id < r.below_id
                and not r.walks_events
            order by u.event_id
            limit $4::bigint
        )
        union all
        (
            select e.id
            from events as e
            where e.tenant_id = r.tenant_id
                and e.id > r.reached
                and e.id < r.below_id
                and r.walks_events
            order by e.id
            limit $4::bigint
        )
    ) as next
    where not r.is_orphan
        and (select room.rows from room) > 0
),
asked as materialized (
    select l.event_id, row_number() over (order by l.event_id) as number
    from replay as r
    cross join looked as l
    cross join lateral (
        select x.event_type, x.fan_out, x.about
        from events as x
        where x.tenant_id = r.tenant_id
            and x.id = l.event_id
        limit 1
    ) as e
    left join lateral (
        select x.status
        from undelivered as x
        where x.tenant_id = r.tenant_id
            and x.event_id = l.event_id
            and x.subscription_id = r.subscription_id
        limit 1
    ) as ended on true
    left join lateral (
        select true as is_there
        from attempts as x
        where x.event_id = l.event_id
            and x.subscription_id = r.subscription_id
            and x.outcome = 'delivered'
            and ended.status is null
        limit 1
    ) as delivered on true
    left join lateral (
        select true as is_there
        from deliveries as x
        where x.tenant_id = r.tenant_id
            and x.event_id = l.event_id
            and x.subscription_id = r.subscription_id
        limit 1
    ) as owed on true
    where is_wanted(e.event_type, r.event_types)
        and case
            when ended.status is not null then ended.status
            when delivered.is_there then 'succeeded'
            -- Announcements go only to those that name their type, and are not what they are about.
            when e.about is not null then
                case when e.about <> r.subscription_id and e.event_type = any(r.wanted_types) then 'missed' end
            when e.fan_out and is_wanted(e.event_type, r.wanted_types) then 'missed'
        end = any(r.statuses)
        and owed.is_there is null
),
chosen as materialized (
    select asked.event_id
    from asked
    cross join room
    where asked.number <= room.rows
),
again as materialized (
    select owe_again(
        r.tenant_id,
        array(select chosen.event_id from chosen order by chosen.event_id),
        array(select r.subscription_id from chosen),
        make_interval(secs => $3::double precision)
    ) as owed
    from replay as r
),
progress as materialized (
    select
        again.owed,
        -- There is no room for more in this second.
        (select count(*) from asked) > (select count(*) from chosen)
            or (select room.rows from room) = 0 as is_full,
        (select count(*) from looked) < $4::bigint as is_last,
        (select l.event_id from looked as l order by l.event_id desc limit 1) as looked_up_to,
        (select c.event_id from chosen as c order by c.event_id desc limit 1) as chosen_up_to
    from again
),
stepped as (
    update replays as x
    set
        reached = coalesce(case when p.is_full then p.chosen_up_to else p.looked_up_to end, x.reached),
        stepped_at = case when r.is_fresh then now() else x.stepped_at end,
        stepped = case when p.is_full then r.rate else r.stepped + p.owed end,
        replayed = x.replayed + p.owed,
        status = case
            when r.is_orphan then 'cancelled'
            when p.is_last and not p.is_full then 'finished'
            else x.status
        end,
        ended_at = case when r.is_orphan or (p.is_last and not p.is_full) then now() end
    from replay as r
    cross join progress as p
    where x.tenant_id = r.tenant_id
        and x.id = r.id
    returning x.tenant_id, x.id, x.subscription_id, x.status, x.replayed, p.owed, x.stepped < r.rate as has_room
),
announced as materialized (
    select raise_event(
        s.tenant_id,
        s.subscription_id,
        'replay.finished',
        jsonb_build_object('replay_id', s.id, 'replayed', s.replayed)
    ) as is_written
    from stepped as s
    where s.status = 'finished'
)
select
    s.owed + (select count(*) from announced where announced.is_written) as written,
    s.status = 'running' and s.has_room as may_go_on
from stepped as s;
