//! Waits for the database at the start.

use std::time::Duration;

use super::Failure;
use crate::store::{SchemaPolicy, Store};

const START_PATIENCE: Duration = Duration::from_secs(30);
const START_PAUSE: Duration = Duration::from_millis(500);

/// Retries while the database is starting; a wrong schema fails at once.
pub(super) async fn migrate_patiently(store: &Store, policy: SchemaPolicy) -> Result<(), Failure> {
    let deadline = tokio::time::Instant::now() + START_PATIENCE;
    let mut waited = false;
    loop {
        match store.migrate(policy).await {
            Ok(applied) => {
                if waited {
                    tracing::info!("the database is there");
                }
                if applied > 0 {
                    tracing::info!(applied, "the schema was migrated");
                }
                return Ok(());
            }
            Err(crate::store::MigrateError::Store(error))
                if error.is_unavailable() && tokio::time::Instant::now() < deadline =>
            {
                if waited {
                    tracing::debug!(%error, "still waiting for the database");
                } else {
                    tracing::warn!(%error, "waiting up to {} s for the database", START_PATIENCE.as_secs());
                    waited = true;
                }
                tokio::time::sleep(START_PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}
