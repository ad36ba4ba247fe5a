-- upkeep/report(seconds of failing after which to warn, least seconds between two reports of failed deliveries)
-- At most 20 events and 500 checks of a kind, so that locks are short. Skips locked rows. One process at a time.
create function upkeep_report_1(
    warn_after double precision[],
    report_interval double precision,
    out checked bigint,
    out raised bigint
)
language plpgsql
set search_path from current
as $$
declare
    most_checked constant integer := 500;
    most_raised constant integer := 20;
    at constant timestamptz := now();
    first_warning constant timestamptz := at - make_interval(secs => (
        select min(w.seconds)
        from unnest(warn_after) as w (seconds)
    ));
    change record;
    full_at bigint;
begin
    checked := 0;
    raised := 0;
    if not pg_try_advisory_xact_lock(hashtext(current_schema() || '.report')) then
        return;
    end if;
    full_at := raised + most_raised;
    for change in
        select h.subscription_id, h.tenant_id, h.failing_since, h.failures, passed.warnings
        from subscription_health as h
        inner join subscriptions as s
            on s.tenant_id = h.tenant_id
            and s.id = h.subscription_id
        cross join lateral (
            select count(*)::integer as warnings
            from unnest(warn_after) as w (seconds)
            where h.failing_since <= at - make_interval(secs => w.seconds)
        ) as passed
        where h.failing_since <= first_warning
            and passed.warnings > h.warnings
            and s.is_active
            and s.deleted_at is null
        order by h.failing_since
        limit most_checked
        for no key update of h, s skip locked
    loop
        exit when raised = full_at;
        checked := checked + 1;
        raised := raised + events_raise_1(
            change.tenant_id,
            change.subscription_id,
            'subscription.failing',
            jsonb_build_object(
                'failing_since', rfc3339(change.failing_since), 'failures', change.failures, 'warning', change.warnings
            )
        )::integer;
        update subscription_health
        set warnings = change.warnings
        where subscription_id = change.subscription_id;
        update subscriptions
        set notified = 'failing'
        where id = change.subscription_id;
    end loop;
    full_at := raised + most_raised;
    for change in
        select s.id, s.tenant_id, s.disabled_reason
        from subscriptions as s
        where s.disabled_reason is not null
            and s.notified is distinct from 'disabled'
            and s.deleted_at is null
        order by s.id
        limit most_checked
        for no key update of s skip locked
    loop
        exit when raised = full_at;
        checked := checked + 1;
        raised := raised + events_raise_1(
            change.tenant_id, change.id, 'subscription.disabled', jsonb_build_object('reason', change.disabled_reason)
        )::integer;
        update subscriptions
        set notified = 'disabled'
        where id = change.id;
    end loop;
    full_at := raised + most_raised;
    for change in
        select s.id, s.tenant_id, s.notified
        from subscriptions as s
        where s.notified is not null
            and s.is_active
            and s.deleted_at is null
            and not exists (
                select 1
                from subscription_health as h
                where h.subscription_id = s.id
            )
        order by s.id
        limit most_checked
        for no key update of s skip locked
    loop
        exit when raised = full_at;
        checked := checked + 1;
        raised := raised + events_raise_1(
            change.tenant_id, change.id, 'subscription.recovered', jsonb_build_object('was', change.notified)
        )::integer;
        update subscriptions
        set notified = null
        where id = change.id;
    end loop;
    full_at := raised + most_raised;
    for change in
        select
            u.subscription_id, u.tenant_id, u.failed, u.expired, u.skipped, u.last_event_id, u.last_reason,
            exists (
                select 1
                from subscriptions as s
                where s.tenant_id = u.tenant_id
                    and s.id = u.subscription_id
                    and s.deleted_at is null
            ) as is_there
        from unreported_failures as u
        where u.failed > 0
            and (u.reported_at is null or u.reported_at <= at - make_interval(secs => report_interval))
        order by u.subscription_id
        limit most_checked
        for update skip locked
    loop
        exit when raised = full_at;
        checked := checked + 1;
        if not change.is_there then
            delete from unreported_failures
            where subscription_id = change.subscription_id;
            continue;
        end if;
        raised := raised + events_raise_1(
            change.tenant_id,
            change.subscription_id,
            'delivery.failed',
            jsonb_build_object(
                'failed', change.failed,
                'statuses', jsonb_strip_nulls(jsonb_build_object(
                    'failed', nullif(change.failed - change.expired - change.skipped, 0),
                    'expired', nullif(change.expired, 0),
                    'skipped', nullif(change.skipped, 0)
                )),
                'last_webhook_id', change.last_event_id,
                'last_reason', change.last_reason
            )
        )::integer;
        update unreported_failures
        set
            failed = 0,
            expired = 0,
            skipped = 0,
            reported_at = at
        where subscription_id = change.subscription_id;
    end loop;
end
$$;
