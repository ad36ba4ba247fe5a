-- upkeep/disable_failing($1 seconds without a success, $2 version stamp)
-- The last failure must be at most a day old: without attempts there is no proof.
update subscriptions as s
set
    is_active = false,
    disabled_reason = 'failing',
    changed_by = null,
    version = greatest(s.version + 1, $2::bigint),
    updated_at = now()
where s.id = any(array(
    select h.subscription_id
    from subscription_health as h
    where h.failing_since <= now() - make_interval(secs => $1::double precision)
        and h.last_failure_at > now() - interval '1 day'
))
    and s.is_active
    and s.deleted_at is null
returning s.id;
