-- subscriptions/rotate($1 tenant, $2 id, $3 version, $4 secret, $5 overlap in s, $6 version stamp, $7 changed_by)
-- Without an overlap all earlier secrets end at once. No row if the expected version is outdated.
-- A null version: too many older secrets would be live (`older`), or another write came first.
with live as (
    select
        s.tenant_id,
        s.id,
        kept.older_secrets,
        kept.older_until
    from subscriptions as s
    cross join lateral (
        select
            coalesce(array_agg(o.secret order by o.tid), '{}') as older_secrets,
            coalesce(array_agg(o.until order by o.tid), '{}') as older_until
        from unnest(
            array_prepend(s.secret, s.older_secrets),
            array_prepend(now() + make_interval(secs => $5::double precision), s.older_until)
        ) with ordinality as o (secret, until, tid)
        where o.until > now()
            and $5 > 0
    ) as kept
    where s.tenant_id = $1
        and s.id = $2
        and s.version = $3
        and s.deleted_at is null
),
written as (
    update subscriptions as s
    set
        version = greatest(s.version + 1, $6::bigint),
        secret = $4,
        older_secrets = live.older_secrets,
        older_until = live.older_until,
        changed_by = $7::text::jsonb,
        updated_at = now()
    from live
    where s.tenant_id = live.tenant_id
        and s.id = live.id
        and s.version = $3
        and s.deleted_at is null
        and cardinality(live.older_secrets) <= 4
    returning
        s.version, coalesce(s.disabled_reason, s.disabled_by) as disabled_reason, s.created_at, s.updated_at
)
select
    cardinality(live.older_secrets) as older,
    live.older_secrets,
    live.older_until,
    written.version,
    written.disabled_reason,
    written.created_at,
    written.updated_at
from live
left join written on true;
