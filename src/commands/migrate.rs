//! `postrider migrate` migrates the schema.

use super::output::print;
use super::{Failure, master_keys, starting};
use crate::config::Settings;
use crate::store::SchemaPolicy;

pub async fn run(settings: &Settings) -> Result<(), Failure> {
    let store = starting::store(&settings.database()?)?.patient();
    let applied = store.migrate(SchemaPolicy::Migrate).await?;
    if let Some(keyring) = settings.keyring() {
        master_keys::check(&store, &keyring, settings.is_strict()?).await?;
    }
    print(format_args!("{applied} migrations applied; the schema is up to date"))
}
