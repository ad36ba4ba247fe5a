-- deliveries/backlog()
-- How much is pending, and for how long the oldest due row has waited, in seconds.
select
    (select count(*) from deliveries) as pending,
    coalesce(
        (
            select extract(epoch from now() - min(d.next_attempt_at))
            from deliveries as d
            where d.next_attempt_at <= now()
                and d.next_attempt_at < 'infinity'
                and d.lease is null
        ),
        0
    )::double precision as oldest_due_seconds;
