//! A schema without tables of ours. It gets all of them or none, so that a failure leaves nothing behind.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::{MigrateError, apply, of_migration};

pub(super) struct Fresh {
    /// A plain identifier.
    schema: String,
    has_schema: bool,
    has_history: bool,
}

impl Fresh {
    /// `None` if steps were applied already.
    pub(super) async fn of(client: &Client, schema: &str) -> Result<Option<Self>, MigrateError> {
        let question = "select to_regnamespace($1) is not null, to_regclass('refinery_schema_history') is not null";
        let row = client.query_one(question, &[&schema]).await?;
        let (has_schema, has_history) = (row.try_get(0)?, row.try_get(1)?);
        let is_used = super::found_version(client).await? > 0;
        Ok((!is_used).then(|| Self { schema: schema.to_owned(), has_schema, has_history }))
    }

    pub(super) async fn fill(self, client: &mut Client) -> Result<usize, MigrateError> {
        // `if not exists` alone needs a privilege even if the schema exists.
        if !self.has_schema {
            client.batch_execute(&format!("create schema if not exists {}", self.schema)).await?;
        }
        let failed = match apply(client, true).await {
            Err(failed) => failed,
            applied => return applied,
        };
        if let Err(error) = self.clear(client).await {
            tracing::warn!(%error, "the table refinery_schema_history remains after the failed migration");
        }
        Err(self.explain(failed))
    }

    /// Removes what was made outside the transaction of the steps.
    async fn clear(&self, client: &Client) -> Result<(), MigrateError> {
        if !self.has_history {
            client.batch_execute("drop table if exists refinery_schema_history").await?;
        }
        if !self.has_schema {
            client.batch_execute(&format!("drop schema {}", self.schema)).await?;
        }
        Ok(())
    }

    fn explain(self, failed: MigrateError) -> MigrateError {
        let MigrateError::Migration(error) = failed else { return failed };
        let taken = [SqlState::DUPLICATE_TABLE, SqlState::DUPLICATE_FUNCTION, SqlState::DUPLICATE_OBJECT];
        if super::codes(&error).any(|code| taken.contains(code)) {
            return MigrateError::NameTaken { said: of_migration(&error), schema: self.schema };
        }
        MigrateError::Migration(error)
    }
}
