//! `postrider keys`: API keys of tenants.

use clap::{Args, Subcommand, ValueEnum};

use super::{Failure, replica};
use crate::config::Settings;
use crate::domain::api_key::Scope;

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Makes a key (and its tenant, if needed) and prints it alone on the last line
    Create(Create),
}

/// A new key.
#[derive(Debug, Args)]
pub struct Create {
    /// Name of the tenant that owns what the key may touch
    #[arg(long)]
    tenant: String,
    /// What the key may do
    #[arg(long, value_enum, default_value = "admin")]
    scope: ScopeArg,
}

/// A scope as it is written on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ScopeArg {
    /// Everything
    Admin,
    /// Send events
    Publish,
    /// Read everything
    Read,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the database does not answer or its schema is not usable.
pub async fn run(settings: &Settings, keys: &Keys) -> Result<(), Failure> {
    let database = settings.database()?;
    let store = replica::store(&database)?;
    let Keys::Create(create) = keys;
    let scope = match create.scope {
        ScopeArg::Admin => Scope::Admin,
        ScopeArg::Publish => Scope::Publish,
        ScopeArg::Read => Scope::Read,
    };
    let (id, key) = store.create_api_key(&create.tenant, scope).await?;
    println!("API key {id} of tenant {}, scope {}; it is shown this once:", create.tenant, scope.as_str());
    println!("{key}");
    Ok(())
}
