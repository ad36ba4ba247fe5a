//! What commands open at their start: the store, the trusted roots, and the database, which may still be starting.

use std::path::Path;
use std::time::Duration;

use rustls::RootCertStore;

use super::Failure;
use crate::config::DatabaseConfig;
use crate::store::{MigrateError, SchemaPolicy, Store, StoreConfig, TlsDefaults};
use crate::tls;

const START_PATIENCE: Duration = Duration::from_secs(30);
const START_PAUSE: Duration = Duration::from_millis(500);

pub(super) fn store(config: &DatabaseConfig) -> Result<Store, Failure> {
    let store = Store::new(&StoreConfig {
        url: config.url.0.clone(),
        direct_url: config.direct.as_ref().map(|url| url.0.clone()),
        tls: TlsDefaults {
            mode: config.tls_mode.clone(),
            root_cert: config.tls_root_cert.clone(),
            cert: config.tls_cert.clone(),
            key: config.tls_key.clone(),
        },
        schema: config.schema.to_string(),
        prepare: config.prepare,
        pool_size: config.pool_size,
    });
    let setting = if config.direct.is_none() { "DATABASE_URL" } else { "DATABASE_URL or DATABASE_DIRECT_URL" };
    store.map_err(|error| Failure::new(format!("{setting}: {error}")))
}

/// The public roots and those of `POSTRIDER_CA_FILE`.
pub(super) fn target_roots(file: Option<&Path>) -> Result<RootCertStore, Failure> {
    let mut roots = tls::public_roots();
    if let Some(file) = file {
        let own = tls::read_certificates(file);
        let own = own.map_err(|error| Failure::new(format!("POSTRIDER_CA_FILE: {error}")))?;
        roots.add_parsable_certificates(own);
    }
    Ok(roots)
}

/// Retries while the database is starting; a wrong schema fails at once.
pub(super) async fn migrate_patiently(store: &Store, policy: SchemaPolicy) -> Result<(), Failure> {
    let deadline = tokio::time::Instant::now() + START_PATIENCE;
    let mut waited = false;
    loop {
        match migrate_and_open(store, policy).await {
            Ok(applied) => {
                if waited {
                    tracing::info!("the database is there");
                }
                if applied > 0 {
                    tracing::info!(applied, "the schema was migrated");
                }
                return Ok(());
            }
            Err(MigrateError::Store(error)) if error.is_unavailable() && tokio::time::Instant::now() < deadline => {
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

async fn migrate_and_open(store: &Store, policy: SchemaPolicy) -> Result<usize, MigrateError> {
    let applied = store.migrate(policy).await?;
    store.open().await?;
    Ok(applied)
}
