-- rollups/views()
-- The schema of the views for people, whether something else has the schema `analytics`, and whether the role for them
-- exists and may read them all.
select
    min(v.place::text) as place,
    current_schema()::text as of_schema,
    quote_ident(current_user) as owner,
    exists (
        select 1
        from pg_class as c
        where c.relnamespace = to_regnamespace('analytics')
    ) as is_taken,
    to_regrole('postrider_analytics') is not null as has_role,
    coalesce(
        bool_and(
            has_schema_privilege(to_regrole('postrider_analytics'), v.place::oid, 'usage')
            and has_schema_privilege(to_regrole('postrider_analytics'), current_schema()::regnamespace::oid, 'usage')
            and has_table_privilege(to_regrole('postrider_analytics'), v.view, 'select')
        ),
        false
    ) as may_read
from analytics_views() as v
having count(*) > 0;
