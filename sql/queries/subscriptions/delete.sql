-- subscriptions/delete($1 tenant, $2 id)
-- Deletes softly and raises the version; returns how many deliveries were pending and are
-- cancelled by it. No row when it is unknown, deleted before or another tenant's.
with deleted as (
    update subscriptions
    set
        version = later_version(version),
        updated_at = now(),
        deleted_at = now()
    where tenant_id = $1
        and id = $2
        and deleted_at is null
    returning tenant_id, id
)
select
    (
        select count(*)
        from deliveries as d
        where d.tenant_id = deleted.tenant_id
            and d.subscription_id = deleted.id
    ) as cancelled
from deleted;
