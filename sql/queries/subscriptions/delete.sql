-- subscriptions/delete($1 tenant, $2 id, $3 version stamp, $4 most deliveries to count, $5 changed_by)
-- Returns how many pending deliveries it cancels, up to $4 and one more.
with deleted as (
    update subscriptions
    set
        version = greatest(version + 1, $3::bigint),
        changed_by = $5::text::jsonb,
        updated_at = now(),
        deleted_at = now()
    where tenant_id = $1
        and id = $2
        and deleted_at is null
    returning id
)
select due.rows + ordered.rows as cancelled
from deleted
cross join lateral (
    select count(*) as rows
    from (
        select 1
        from deliveries as d
        where uuid_hash_extended(d.subscription_id, 0) = uuid_hash_extended(deleted.id, 0)
            and d.subscription_id = deleted.id
            and d.next_attempt_at < 'infinity'
        order by d.next_attempt_at
        limit $4::bigint + 1
    ) as d
) as due
cross join lateral (
    select count(*) as rows
    from (
        select 1
        from deliveries as d
        where d.subscription_id = deleted.id
            and d.ordering_key is not null
            and d.next_attempt_at = 'infinity'
        limit $4::bigint + 1
    ) as d
) as ordered;
