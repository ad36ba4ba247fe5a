-- outbox/publishers()
-- The schema of publish(), and whether the role for it exists and may call it.
select
    f.place::text as place,
    current_schema()::text as of_schema,
    to_regrole('postrider_publisher') is not null as has_role,
    coalesce(has_function_privilege(to_regrole('postrider_publisher'), f.routine, 'execute'), false)
        and coalesce(has_schema_privilege(to_regrole('postrider_publisher'), f.place::oid, 'usage'), false) as may_publish
from publish_functions() as f
limit 1;
