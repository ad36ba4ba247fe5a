-- replays/forget($1 seconds since their end, $2 most rows of each); plans of dry runs go after a day
with gone as (
    delete from replays as r
    where (r.tenant_id, r.id) in (
        select x.tenant_id, x.id
        from replays as x
        where x.ended_at < now() - make_interval(secs => $1::double precision)
        limit $2
        for update skip locked
    )
    returning 1
),
plans as (
    delete from replay_plans as p
    where (p.tenant_id, p.id) in (
        select x.tenant_id, x.id
        from replay_plans as x
        where x.id < uuid_v7_floor(now() - interval '1 day')
        limit $2
        for update skip locked
    )
    returning 1
)
select (select count(*) from gone) as forgotten, (select count(*) from plans) as forgotten_plans;
