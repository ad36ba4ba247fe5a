//! `postrider migrate` migrates the schema.

use super::{Failure, replica};
use crate::config::Settings;
use crate::store::SchemaPolicy;

pub async fn run(settings: &Settings) -> Result<(), Failure> {
    let store = replica::store(&settings.database()?)?;
    let applied = store.migrate(SchemaPolicy::Migrate).await?;
    println!("{applied} migrations applied; the schema is up to date");
    Ok(())
}
