-- subscriptions/all($1 tenant)
-- Who gets which events of the tenant, by id, with the version of their list as of the same moment; one row without a
-- subscription where there is none.
select
    t.subscriptions_version,
    s.id,
    s.version,
    s.event_types,
    s.is_active,
    s.is_ordered
from tenants as t
left join subscriptions as s
    on s.tenant_id = t.id
    and s.deleted_at is null
where t.id = $1
order by s.id;
