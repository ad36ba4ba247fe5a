//! Installs the SQL functions. A changed function has a new versioned name, so replicas of both versions work.

use tokio_postgres::Client;

use super::{StoreError, sql};

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

pub(super) async fn are_missing(client: &Client) -> Result<bool, StoreError> {
    let names: Vec<&str> = sql::FUNCTIONS.iter().map(|text| name(text)).collect();
    let row = client.query_one("select bool_or(to_regproc(n) is null) from unnest($1::text[]) as n", &[&names]).await?;
    Ok(row.try_get(0)?)
}

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
