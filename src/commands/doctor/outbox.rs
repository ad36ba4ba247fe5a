//! Checks publishing from SQL: whether rows wait in the outbox, and who may call `publish()`.

use std::time::Duration;

use super::{Finding, counted};
use crate::store::{Publishers, Store, StoreError};

/// A replica publishes within a few seconds.
const NOTABLE_WAIT: Duration = Duration::from_secs(60);
/// Counted at most.
const ROWS: i64 = 10_000;

pub(super) async fn look(store: &Store) -> Result<[Finding; 2], StoreError> {
    let (rows, oldest) = store.outbox_size(ROWS).await?;
    Ok([of_rows(rows, oldest), of_publishers(store.publishers().await?.as_ref())])
}

fn of_rows(rows: i64, oldest: Duration) -> Finding {
    let more = if rows < ROWS { "" } else { " or more" };
    let says = format!("{}{more} to publish; the oldest is {:.0} s old", counted(rows, "row"), oldest.as_secs_f64());
    if oldest <= NOTABLE_WAIT {
        return Finding::ok("outbox", says);
    }
    Finding::warning(
        "outbox",
        says,
        "check that a `serve` or `api` runs, which publishes them, and whether a tenant has reached publish_per_second",
    )
}

fn of_publishers(publishers: Option<&Publishers>) -> Finding {
    const ABOUT: &str = "publishing";
    let Some(Publishers { schema, schema_of_tables, is_taken, has_role, may_publish }) = publishers else {
        return Finding::warning(
            ABOUT,
            "publish() is missing",
            "somebody dropped it; restore it from sql/migrations/V8__publishing.sql",
        );
    };
    let says = format!("from SQL by {schema}.publish()");
    if schema == schema_of_tables && !is_taken {
        let advice = format!(
            "as a superuser, in this database: create schema postrider; select {schema_of_tables}.place_publishing();"
        );
        return Finding::warning(ABOUT, format!("{says}, because the role may not make the schema postrider"), advice);
    }
    if !has_role || !may_publish {
        let create = if *has_role { "" } else { "create role postrider_publisher nologin; " };
        let advice = format!("as a superuser, in this database: {create}select {schema_of_tables}.grant_publishing();");
        let lacks = if *has_role { "may not call it" } else { "does not exist" };
        return Finding::warning(ABOUT, format!("{says}; the role postrider_publisher {lacks}"), advice);
    }
    Finding::ok(ABOUT, format!("{says}, for members of postrider_publisher"))
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn rows_that_wait_are_a_warning_and_a_missing_role_comes_with_its_sql() {
        assert_eq!(of_rows(3, Duration::from_secs(2)).level, Level::Ok);
        assert_eq!(of_rows(3, Duration::from_secs(600)).level, Level::Warning);
        let publishers = |schema: &str, has_role, may_publish| Publishers {
            is_taken: false,
            schema: schema.to_owned(),
            schema_of_tables: "public".to_owned(),
            has_role,
            may_publish,
        };
        assert_eq!(of_publishers(Some(&publishers("postrider", true, true))).level, Level::Ok);
        let missing = of_publishers(Some(&publishers("postrider", false, false))).to_string();
        let sql = "create role postrider_publisher nologin; select public.grant_publishing();";
        assert!(missing.contains("does not exist") && missing.contains(sql), "{missing}");
        let closed = of_publishers(Some(&publishers("postrider", true, false))).to_string();
        assert!(closed.contains("may not call it") && !closed.contains("create role"), "{closed}");
        let public = of_publishers(Some(&publishers("public", true, true))).to_string();
        assert!(public.contains("select public.place_publishing();"), "{public}");
        let second = Publishers { is_taken: true, ..publishers("public", true, true) };
        assert_eq!(of_publishers(Some(&second)).level, Level::Ok);
    }
}
