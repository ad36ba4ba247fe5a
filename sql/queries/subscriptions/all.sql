-- subscriptions/all($1 tenant), with the version of their list at the same moment; one row without id if there is
-- none
select
    t.subscriptions_version,
    s.id,
    s.version,
    s.event_types,
    s.filter,
    s.is_active,
    s.is_ordered
from tenants as t
left join subscriptions as s
    on s.tenant_id = t.id
    and s.deleted_at is null
where t.id = $1
order by s.id;
