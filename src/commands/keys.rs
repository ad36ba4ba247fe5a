//! `postrider keys`: API keys of tenants.

use clap::{Args, Subcommand, ValueEnum};

use super::{Failure, replica};
use crate::config::Settings;
use crate::domain::api_key::Scope;
use crate::domain::id::ApiKeyId;
use crate::store::{Revocation, Store};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

/// Longest name of a tenant, in characters; the table says the same.
const MAX_TENANT_NAME: usize = 100;

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Makes a key (and its tenant, if needed) and prints it alone on the last line
    Create(Create),
    /// Lists keys, oldest first, revoked ones too; their secret halves are not kept
    List(List),
    /// Ends a key for good; it is refused everywhere within a second
    Revoke(Revoke),
}

/// Which keys to list.
#[derive(Debug, Args)]
pub struct List {
    /// Only those of this tenant
    #[arg(long)]
    tenant: Option<String>,
}

/// Which key to end.
#[derive(Debug, Args)]
pub struct Revoke {
    /// Its id, as `keys list` shows it
    id: ApiKeyId,
}

/// A new key.
#[derive(Debug, Args)]
pub struct Create {
    /// Name of the tenant that owns what the key may touch
    #[arg(long, value_parser = tenant_name)]
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

fn tenant_name(text: &str) -> Result<String, String> {
    if (1..=MAX_TENANT_NAME).contains(&text.chars().count()) {
        return Ok(text.to_owned());
    }
    Err(format!("must have 1 to {MAX_TENANT_NAME} characters"))
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the database does not answer or its schema is not usable.
pub async fn run(settings: &Settings, keys: &Keys) -> Result<(), Failure> {
    let database = settings.database()?;
    let store = replica::store(&database)?;
    match keys {
        Keys::Create(wanted) => create(&store, wanted).await,
        Keys::List(wanted) => list(&store, wanted).await,
        Keys::Revoke(wanted) => revoke(&store, wanted).await,
    }
}

async fn create(store: &Store, create: &Create) -> Result<(), Failure> {
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

async fn list(store: &Store, wanted: &List) -> Result<(), Failure> {
    let keys = store.list_api_keys(wanted.tenant.as_deref()).await?;
    println!("{:36}  {:7}  {:7}  {:20}  {:17}  tenant", "id", "scope", "state", "created", "last used");
    for key in keys {
        let state = if key.revoked_at.is_some() { "revoked" } else { "live" };
        let (created, last_used) = (moment(key.created_at), key.last_used_at.map_or("never".to_owned(), minute));
        println!("{}  {:7}  {state:7}  {created:20}  {last_used:17}  {}", key.id, key.scope.as_str(), key.tenant);
    }
    Ok(())
}

/// To the second, so that columns stay columns.
fn moment(at: OffsetDateTime) -> String {
    at.replace_nanosecond(0).unwrap_or(at).format(&Rfc3339).unwrap_or_default()
}

/// To the minute, which is how often uses are written.
fn minute(at: OffsetDateTime) -> String {
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]Z");
    at.to_offset(UtcOffset::UTC).format(&form).unwrap_or_default()
}

async fn revoke(store: &Store, wanted: &Revoke) -> Result<(), Failure> {
    let id = wanted.id;
    match store.revoke_api_key(id).await? {
        Revocation::Now => println!("key {id} is revoked; within a second no replica takes it any more"),
        Revocation::Before(at) => println!("key {id} was revoked before, at {}", moment(at)),
        Revocation::Unknown => {
            return Err(Failure::new(format!("there is no key {id}; `keys list` shows those there are")));
        }
    }
    Ok(())
}
