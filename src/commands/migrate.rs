//! `postrider migrate` migrates the schema. A lock lets several processes call it at once.

use super::{Failure, replica};
use crate::config::Settings;
use crate::store::SchemaPolicy;

/// Runs the command.
/// # Errors
/// [`Failure`] if the database does not answer, a migration fails, or the schema is newer.
pub async fn run(settings: &Settings) -> Result<(), Failure> {
    let store = replica::store(&settings.database()?)?;
    let applied = store.migrate(SchemaPolicy::Migrate).await?;
    println!("{applied} migrations applied; the schema is up to date");
    Ok(())
}
