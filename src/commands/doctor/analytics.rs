//! Checks the views for people: in which schema they are, and whether the role `postrider_analytics` may read them.

use super::Finding;
use crate::store::AnalyticsViews;

const ABOUT: &str = "analytics";

pub(super) fn of_views(views: Option<&AnalyticsViews>) -> Finding {
    let Some(AnalyticsViews { schema, schema_of_tables, owner, is_taken, has_role, may_read }) = views else {
        return Finding::warning(
            ABOUT,
            "the views for analytics are missing",
            "somebody dropped them; restore them from sql/migrations/V9__analytics.sql",
        );
    };
    let is_placed = schema != schema_of_tables;
    let names = if is_placed { format!("{schema}.…") } else { format!("{schema}.analytics_…") };
    let says = format!("in SQL by the views {names}");
    let create_role = if *has_role { "" } else { "create role postrider_analytics nologin; " };
    if !is_placed && !is_taken {
        let advice = format!(
            "as a superuser, in this database: {create_role}create schema if not exists analytics authorization {owner}; \
             select {schema_of_tables}.place_analytics();"
        );
        return Finding::warning(ABOUT, format!("{says}, because the role may not make the schema analytics"), advice);
    }
    if !has_role || !may_read {
        let advice =
            format!("as a superuser, in this database: {create_role}select {schema_of_tables}.grant_analytics();");
        let lacks = if *has_role { "may not read them" } else { "does not exist" };
        return Finding::warning(ABOUT, format!("{says}; the role postrider_analytics {lacks}"), advice);
    }
    Finding::ok(ABOUT, format!("{says}, for members of postrider_analytics"))
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn views_without_their_schema_or_role_come_with_the_sql_for_both() {
        let views = |schema: &str, is_taken, has_role, may_read| AnalyticsViews {
            schema: schema.to_owned(),
            schema_of_tables: "public".to_owned(),
            owner: "hooks".to_owned(),
            is_taken,
            has_role,
            may_read,
        };
        assert_eq!(of_views(Some(&views("analytics", true, true, true))).level, Level::Ok);
        assert_eq!(of_views(Some(&views("public", true, true, true))).level, Level::Ok);
        assert_eq!(of_views(None).level, Level::Warning);
        let missing = of_views(Some(&views("analytics", true, false, false))).to_string();
        let sql = "create role postrider_analytics nologin; select public.grant_analytics();";
        assert!(missing.contains("does not exist") && missing.contains(sql), "{missing}");
        let closed = of_views(Some(&views("analytics", true, true, false))).to_string();
        assert!(closed.contains("may not read them") && !closed.contains("create role"), "{closed}");
        let unplaced = of_views(Some(&views("public", false, true, true))).to_string();
        let sql = "create schema if not exists analytics authorization hooks; select public.place_analytics();";
        assert!(unplaced.contains(sql), "{unplaced}");
    }
}
