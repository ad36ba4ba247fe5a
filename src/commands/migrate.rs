//! `postrider migrate` migrates the schema.

use super::{Failure, starting};
use crate::config::Settings;
use crate::store::SchemaPolicy;

pub async fn run(settings: &Settings) -> Result<(), Failure> {
    let store = starting::store(&settings.database()?)?.patient();
    let applied = store.migrate(SchemaPolicy::Migrate).await?;
    println!("{applied} migrations applied; the schema is up to date");
    Ok(())
}
