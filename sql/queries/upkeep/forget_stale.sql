-- upkeep/forget_stale()
-- Deletes what was told of failed deliveries a day ago, longer than any pause between two reports, and paces
-- that were over an hour ago: their owner is lost, and nothing is held that another would have
-- taken them for. What somebody else has locked stays. Returns how many rows it was.
with told as (
    delete from untold_failures as u
    where u.ctid = any(array(
        select x.ctid
        from untold_failures as x
        where x.failed = 0
            and x.told_at < now() - interval '1 day'
        for update skip locked
    ))
    returning 1
),
lost as (
    delete from paces as p
    where p.ctid = any(array(
        select x.ctid
        from paces as x
        where x.until < now() - interval '1 hour'
        for update skip locked
    ))
    returning 1
)
select (select count(*) from told) + (select count(*) from lost) as forgotten;
