//! The functions that statements call. Their names carry a version of their content: a changed function is a
//! new one, which is made beside the old one, so that replicas of both versions work, and one that restarts
//! puts nothing back.

use tokio_postgres::Client;

use super::{StoreError, sql};

/// Makes the functions that are missing; returns how many. To be called under the lock of migrations.
///
/// # Errors
/// [`StoreError`] from the database.
pub(super) async fn install(client: &Client) -> Result<usize, StoreError> {
    let mut made = 0;
    for text in sql::FUNCTIONS {
        let exists = client.query_one("select to_regproc($1) is not null", &[&name(text)]).await?;
        if !exists.try_get::<_, bool>(0)? {
            client.batch_execute(text).await?;
            made += 1;
        }
    }
    Ok(made)
}

/// Whether any function is missing.
///
/// # Errors
/// [`StoreError`] from the database.
pub(super) async fn are_missing(client: &Client) -> Result<bool, StoreError> {
    let names: Vec<&str> = sql::FUNCTIONS.iter().map(|text| name(text)).collect();
    let row = client.query_one("select bool_or(to_regproc(n) is null) from unnest($1::text[]) as n", &[&names]).await?;
    Ok(row.try_get(0)?)
}

/// What the function of this text is called.
fn name(text: &str) -> &str {
    let after = text.split_once("create function ").map_or("", |(_, after)| after);
    after.split_once('(').map_or("", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_has_a_name_with_a_version() {
        for text in sql::FUNCTIONS {
            let (_, version) = name(text).rsplit_once('_').unwrap_or_default();
            assert!(version.parse::<u32>().is_ok(), "{:?}", name(text));
        }
    }
}
