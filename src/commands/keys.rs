//! `postrider keys`: API keys, of one tenant or for all.

use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

use super::output::print;
use super::remote::printable::printable;
use super::remote::{Form, Paging, Remote};
use super::{Failure, checks, remote};
use crate::config::Settings;
use crate::domain::actor::Actor;
use crate::domain::api_key::Scope;
use crate::domain::duration::parse_duration;
use crate::domain::id::ApiKeyId;
use crate::domain::rfc3339;
use crate::domain::tenant::{InvalidName, TenantName, check_name};
use crate::store::{ApiKeyRow, NewKey, Revocation, Store};
use crate::telemetry::Log;

const PAGE: i64 = 1_000;

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Creates a key (and its tenant, if needed) and prints it alone on the last line
    Create(Create),
    /// Lists keys, newest first, with revoked and expired ones; secret halves are not stored
    List(List),
    /// Revokes a key; it is refused everywhere within a second
    Revoke(Revoke),
}

/// Which keys to list.
#[derive(Debug, Args)]
pub struct List {
    /// Only keys of this tenant: its id or external id
    #[arg(long)]
    pub(super) tenant: Option<TenantName>,
    #[command(flatten)]
    pub(super) paging: Paging,
}

/// Which key to end.
#[derive(Debug, Args)]
pub struct Revoke {
    /// Its id, as shown by `keys list`
    pub(super) id: ApiKeyId,
    #[command(flatten)]
    pub(super) form: Form,
}

/// A new key.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("owner").required(true))]
pub struct Create {
    /// Id or external id of the key's tenant; an unknown external id creates the tenant
    #[arg(long, group = "owner")]
    pub(super) tenant: Option<TenantName>,
    /// Create an operator key, for all tenants
    #[arg(long, group = "owner")]
    operator: bool,
    /// What the key may do
    #[arg(long, value_enum, default_value = "admin")]
    scope: ScopeArg,
    /// Name of the key
    #[arg(long, value_parser = name)]
    pub(super) name: Option<String>,
    /// When the key expires, as in 2027-01-31T00:00:00Z
    #[arg(long, value_parser = instant, conflicts_with = "expires_in")]
    expires_at: Option<OffsetDateTime>,
    /// Time until the key expires, as in 90d
    #[arg(long, value_parser = parse_duration)]
    expires_in: Option<Duration>,
    #[command(flatten)]
    pub(super) form: Form,
}

impl Create {
    pub(super) fn scope(&self) -> Scope {
        match self.scope {
            ScopeArg::Admin => Scope::Admin,
            ScopeArg::Publish => Scope::Publish,
            ScopeArg::Read => Scope::Read,
            ScopeArg::Support => Scope::Support,
        }
    }

    /// `None` for never.
    pub(super) fn expiry(&self) -> Result<Option<OffsetDateTime>, Failure> {
        let now = OffsetDateTime::now_utc();
        let after =
            self.expires_in.map(|after| time::Duration::try_from(after).ok().and_then(|after| now.checked_add(after)));
        let expires_at = self.expires_at.or(after.flatten());
        if after == Some(None) || expires_at.is_some_and(|at| at <= now) {
            return Err(Failure::new(
                "the key would have expired already, or never does; give another time".to_owned(),
            ));
        }
        Ok(expires_at)
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ScopeArg {
    /// Everything
    Admin,
    /// Send events
    Publish,
    /// Read everything
    Read,
    /// Read everything except payloads and response bodies
    Support,
}

pub(super) fn name(text: &str) -> Result<String, InvalidName> {
    check_name(text).map(|()| text.to_owned())
}

fn instant(text: &str) -> Result<OffsetDateTime, &'static str> {
    rfc3339::parse(text).ok_or("must be a time like 2027-01-31T00:00:00Z")
}

/// Over a server where one is named, else over the database.
pub(super) async fn run(settings: &Settings, keys: &Keys, log: Log) -> Result<(), Failure> {
    if settings.names_server() {
        return remote::keys::run(&Remote::new(settings, log)?, keys).await;
    }
    match keys {
        Keys::Create(Create { form, .. }) | Keys::Revoke(Revoke { form, .. }) => form.of_database()?,
        Keys::List(wanted) => drop(wanted.paging.of_database()?),
    }
    let store = checks::open(settings).await?;
    match keys {
        Keys::Create(wanted) => create(&store, wanted).await,
        Keys::List(wanted) => list(&store, wanted).await,
        Keys::Revoke(wanted) => revoke(&store, wanted).await,
    }
}

async fn create(store: &Store, create: &Create) -> Result<(), Failure> {
    let (scope, expires_at) = (create.scope(), create.expiry()?);
    let tenant = create.tenant.as_ref().map(ToString::to_string);
    let wanted = NewKey { tenant: tenant.as_deref(), name: create.name.as_deref(), scope, expires_at };
    let Some(made) = store.create_api_key(&wanted, &Actor::COMMAND).await? else {
        return Err(Failure::new(format!("there is no tenant {}", tenant.unwrap_or_default())));
    };
    let of = tenant.map_or("for all tenants".to_owned(), |tenant| format!("of tenant {tenant}"));
    let end = expires_at.map_or_else(String::new, |at| format!(", expires at {}", moment(at)));
    print(format_args!("API key {} {of}, scope {scope}{end}; it is shown this once:", made.id))?;
    print(format_args!("{}", made.text))?;
    Ok(())
}

async fn list(store: &Store, wanted: &List) -> Result<(), Failure> {
    let tenant = match &wanted.tenant {
        Some(name) => Some(super::tenants::find(store, name).await?.tenant.id),
        None => None,
    };
    let mut left = wanted.paging.of_database()?;
    let mut keys = store.list_api_keys(tenant, None, PAGE).await?;
    print(format_args!(
        "{:36}  {:7}  {:7}  {:20}  {:17}  {:20}  name",
        "id", "scope", "state", "created", "last used", "tenant"
    ))?;
    while let Some(last) = keys.last() {
        let before = last.id;
        for key in keys.iter().take(left) {
            let (created, last_used) = (moment(key.created_at), key.last_used_at.map_or("never".to_owned(), minute));
            let of = printable(key.tenant_title.as_deref().unwrap_or("(operator)"));
            let name = printable(key.name.as_deref().unwrap_or_default());
            let (scope, state) = (key.scope.as_str(), state(key));
            print(format_args!("{}  {scope:7}  {state:7}  {created:20}  {last_used:17}  {of:20}  {name}", key.id))?;
        }
        left = left.saturating_sub(keys.len());
        if left == 0 {
            break;
        }
        keys = store.list_api_keys(tenant, Some(before), PAGE).await?;
    }
    Ok(())
}

fn state(key: &ApiKeyRow) -> &'static str {
    match (key.revoked_at, key.expires_at) {
        (Some(_), _) => "revoked",
        (None, Some(end)) if end <= OffsetDateTime::now_utc() => "expired",
        _ => "live",
    }
}

/// To the second, so that columns align.
pub(super) fn moment(at: OffsetDateTime) -> String {
    at.replace_nanosecond(0).unwrap_or(at).format(&Rfc3339).unwrap_or_default()
}

/// To the minute, the precision with which uses are stored.
fn minute(at: OffsetDateTime) -> String {
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]Z");
    at.to_offset(UtcOffset::UTC).format(&form).unwrap_or_default()
}

async fn revoke(store: &Store, wanted: &Revoke) -> Result<(), Failure> {
    let id = wanted.id;
    match store.revoke_api_key(id, None, &Actor::COMMAND).await? {
        Revocation::Now => print(format_args!("key {id} is revoked; within a second no replica takes it any more")),
        Revocation::Before(at) => print(format_args!("key {id} was revoked before, at {}", moment(at))),
        Revocation::Unknown => Err(Failure::new(format!("there is no key {id}; `keys list` shows those there are"))),
    }
}
