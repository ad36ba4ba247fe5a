-- subscriptions/list($1 tenant, $2 id below which or null, $3 most rows, $4 text or null, $5 states or null,
-- $6 most rows to examine)
-- If $6 ends it, `examined_to` is the last id examined, and there is at least one row, perhaps without a subscription.
with examined as materialized (
    select
        x.id,
        ($4::text is null or position(lower($4) in lower(concat_ws(chr(1), x.target_url, x.external_id, x.description))) > 0)
        and ($5::text[] is null or case when x.is_active then coalesce(h.state, 'healthy') else 'disabled' end = any($5))
        as is_found
    from subscriptions as x
    left join lateral (
        select case when y.state is not null then y.state when y.failures > 0 then 'failing' end as state
        from subscription_health as y
        where $5::text[] is not null
            and y.tenant_id = $1
            and y.subscription_id = x.id
        limit 1
    ) as h on true
    where x.tenant_id = $1
        and x.id < coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
        and x.deleted_at is null
    order by x.id desc
    limit $6
)
select
    e.examined_to,
    s.tenant_id,
    s.id,
    s.version,
    s.target_url,
    s.secret,
    s.older_secrets,
    s.older_until,
    s.event_types,
    s.filter,
    s.description,
    s.is_active,
    coalesce(s.disabled_reason, s.disabled_by) as disabled_reason,
    s.verify_ingest,
    s.external_id,
    s.metadata::text as metadata,
    s.header_names,
    s.auth_type,
    s.sealed_headers,
    s.retry_schedule,
    s.request_timeout_ms,
    s.rate_limit,
    s.max_in_flight,
    s.is_ordered,
    s.skip_after_attempts,
    s.ingest::text as ingest,
    s.ingest_secret,
    s.created_at,
    s.updated_at,
    now() as looked_at
from (
    select case when (select count(*) from examined) = $6 then (select x.id from examined as x order by x.id limit 1) end
        as examined_to
) as e
left join lateral (
    select f.id
    from examined as f
    where f.is_found
    order by f.id desc
    limit $3
) as f on true
left join subscriptions as s
    on s.tenant_id = $1
        and s.id = f.id
where e.examined_to is not null
    or s.id is not null
order by s.id desc;
