-- upkeep/forget_stale(): reports a day old, longer than any interval, and ownerships that ended an hour ago
with reported as (
    delete from unreported_failures as u
    where u.ctid = any(array(
        select x.ctid
        from unreported_failures as x
        where x.failed = 0
            and x.reported_at < now() - interval '1 day'
        for update skip locked
    ))
    returning 1
),
lost as (
    delete from owners as o
    where o.ctid = any(array(
        select x.ctid
        from owners as x
        where x.until < now() - interval '1 hour'
        for update skip locked
    ))
    returning 1
)
select (select count(*) from reported) + (select count(*) from lost) as forgotten;
