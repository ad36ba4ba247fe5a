-- replays/forget($1 seconds since their end, $2 most rows of each); plans of dry runs go after a day
with old as materialized (
    select x.tenant_id, x.id
    from replays as x
    where x.ended_at < now() - make_interval(secs => $1::double precision)
    limit $2
    for update skip locked
),
old_plans as materialized (
    select x.tenant_id, x.id
    from replay_plans as x
    where x.id < uuid_v7_floor(now() - interval '1 day')
    limit $2
    for update skip locked
),
gone as (
    delete from replays as r
    using old
    where r.tenant_id = old.tenant_id
        and r.id = old.id
    returning 1
),
plans as (
    delete from replay_plans as p
    using old_plans as old
    where p.tenant_id = old.tenant_id
        and p.id = old.id
    returning 1
)
select (select count(*) from gone) as forgotten, (select count(*) from plans) as forgotten_plans;
