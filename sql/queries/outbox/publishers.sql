-- outbox/publishers()
-- The schema of publish(), whether another installation has it in `postrider`, and whether the role for it exists and
-- may call it.
select
    f.place::text as place,
    current_schema()::text as of_schema,
    exists (
        select 1
        from pg_proc as p
        where p.pronamespace = to_regnamespace('postrider')
            and p.proname = 'publish'
            and f.place <> p.pronamespace
    ) as is_taken,
    to_regrole('postrider_publisher') is not null as has_role,
    coalesce(has_function_privilege(to_regrole('postrider_publisher'), f.routine, 'execute'), false)
        and coalesce(has_schema_privilege(to_regrole('postrider_publisher'), f.place::oid, 'usage'), false) as may_publish
from publish_functions() as f
limit 1;
