//! `postrider migrate`: brings the schema up, once, whoever else tries at the same time.

use super::{Failure, replica};
use crate::config::Settings;
use crate::store::SchemaPolicy;

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the database does not answer, a migration fails, or the schema is newer.
pub async fn run(settings: &Settings) -> Result<(), Failure> {
    let store = replica::store(&settings.database()?)?;
    let applied = store.migrate(SchemaPolicy::Migrate).await?;
    println!("{applied} migrations applied; the schema is up to date");
    Ok(())
}
