//! `postrider tenants`: tenants on the command line.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};

use super::keys::{moment, name};
use super::output::print;
use super::remote::printable::printable;
use super::remote::{Form, Paging, Remote};
use super::{Failure, checks, remote};
use crate::config::Settings;
use crate::domain::actor::Actor;
use crate::domain::external_id::ExternalId;
use crate::domain::metadata::{Metadata, check_key, check_value};
use crate::domain::tenant::{DEFAULT_TENANT, MAX_LIMIT, TenantLimits, TenantName};
use crate::store::{Store, StoreError, TenantChoices, TenantRow};
use crate::telemetry::Log;

const PAGE: i64 = 1_000;
const ENDED_AT_ONCE: i64 = 500;

/// What to do with tenants.
#[derive(Debug, Subcommand)]
pub enum Tenants {
    /// Creates a tenant and prints its id alone on the last line
    Create(Create),
    /// Lists tenants, newest first
    List(List),
    /// Shows a tenant
    Show(Named),
    /// Changes the given fields of a tenant
    Update(Update),
    /// Deletes a tenant: disables its subscriptions, revokes its keys, and drops its data with retention
    Delete(Named),
}

/// Which tenant.
#[derive(Debug, Args)]
pub struct Named {
    /// Its id or external id
    pub(super) tenant: TenantName,
    #[command(flatten)]
    pub(super) form: Form,
}

/// Which tenants to list.
#[derive(Debug, Args)]
pub struct List {
    /// Only tenants with this text in name or external id
    #[arg(long)]
    pub(super) q: Option<String>,
    #[command(flatten)]
    pub(super) paging: Paging,
}

/// A new tenant.
#[derive(Debug, Args)]
pub struct Create {
    /// Name of the tenant
    #[arg(value_parser = name)]
    pub(super) name: String,
    #[command(flatten)]
    pub(super) fields: Fields,
    #[command(flatten)]
    pub(super) form: Form,
}

/// A tenant and what is new of it.
#[derive(Debug, Args)]
pub struct Update {
    #[command(flatten)]
    pub(super) of: Named,
    /// New name of the tenant
    #[arg(long, value_parser = name)]
    pub(super) name: Option<String>,
    #[command(flatten)]
    pub(super) fields: Fields,
}

/// What a tenant may have besides its name.
#[derive(Debug, Args)]
pub(super) struct Fields {
    /// Your own id for it, usable wherever its id is
    #[arg(long)]
    pub(super) external_id: Option<ExternalId>,
    /// Maximum number of subscriptions; `default` = the instance's limit
    #[arg(long, value_parser = limit)]
    pub(super) max_subscriptions: Option<Limit>,
    /// Maximum events per second; `default` = the instance's limit
    #[arg(long, value_parser = limit)]
    pub(super) publish_per_second: Option<Limit>,
    /// KEY=VALUE to store with the tenant; an empty value removes the key; may be repeated
    #[arg(long, value_parser = entry)]
    pub(super) metadata: Vec<(String, Option<String>)>,
}

/// `None` = the instance's limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit(pub(super) Option<u32>);

fn limit(text: &str) -> Result<Limit, String> {
    if text == "default" {
        return Ok(Limit(None));
    }
    let number = text.parse().ok().filter(|number| (1..=MAX_LIMIT).contains(number));
    number.map(|number| Limit(Some(number))).ok_or_else(|| format!("must be 1 to {MAX_LIMIT}, or `default`"))
}

fn entry(text: &str) -> Result<(String, Option<String>), String> {
    let (key, value) = text.split_once('=').ok_or("must be KEY=VALUE")?;
    check_key(key).and_then(|()| check_value(value)).map_err(|rule| rule.to_string())?;
    Ok((key.to_owned(), (!value.is_empty()).then(|| value.to_owned())))
}

impl Fields {
    fn over(&self, mut choices: TenantChoices) -> Result<TenantChoices, Failure> {
        let changes: BTreeMap<_, _> = self.metadata.iter().cloned().collect();
        choices.metadata =
            choices.metadata.merged(&changes).map_err(|rule| Failure::new(format!("--metadata {rule}")))?;
        choices.external_id = self.external_id.clone().or(choices.external_id);
        let limits = &mut choices.limits;
        limits.max_subscriptions = self.max_subscriptions.map_or(limits.max_subscriptions, |limit| limit.0);
        limits.publish_per_second = self.publish_per_second.map_or(limits.publish_per_second, |limit| limit.0);
        Ok(choices)
    }
}

/// Over a server where one is named, else over the database.
pub(super) async fn run(settings: &Settings, tenants: &Tenants, log: Log) -> Result<(), Failure> {
    if settings.names_server() {
        return remote::tenants::run(&Remote::new(settings, log)?, tenants).await;
    }
    match tenants {
        Tenants::Create(Create { form, .. })
        | Tenants::Show(Named { form, .. })
        | Tenants::Update(Update { of: Named { form, .. }, .. })
        | Tenants::Delete(Named { form, .. }) => form.of_database()?,
        Tenants::List(wanted) => drop(wanted.paging.of_database()?),
    }
    let store = checks::open(settings).await?;
    match tenants {
        Tenants::Create(wanted) => create(&store, wanted).await,
        Tenants::List(wanted) => list(&store, wanted).await,
        Tenants::Show(wanted) => show(&find(&store, &wanted.tenant).await?),
        Tenants::Update(wanted) => update(&store, wanted).await,
        Tenants::Delete(wanted) => delete(&store, &wanted.tenant).await,
    }
}

pub(super) async fn find(store: &Store, name: &TenantName) -> Result<TenantRow, Failure> {
    let found = store.find_tenants(std::slice::from_ref(name)).await?.pop();
    found.ok_or_else(|| Failure::new(format!("there is no tenant {name}; `tenants list` shows those there are")))
}

async fn create(store: &Store, wanted: &Create) -> Result<(), Failure> {
    let choices = TenantChoices {
        external_id: None,
        name: wanted.name.clone(),
        metadata: Metadata::default(),
        limits: TenantLimits::default(),
    };
    let choices = wanted.fields.over(choices)?;
    let (made, _) = store.write_tenant(&choices, false, &Actor::COMMAND).await.map_err(taken)?;
    print(format_args!("tenant {}:", made.tenant.name))?;
    print(format_args!("{}", made.tenant.id))?;
    Ok(())
}

async fn list(store: &Store, wanted: &List) -> Result<(), Failure> {
    let mut left = wanted.paging.of_database()?;
    let mut page = store.list_tenants(wanted.q.as_deref(), None, PAGE).await?;
    print(format_args!("{:36}  {:20}  {:20}  name", "id", "external id", "created"))?;
    loop {
        for row in page.rows.iter().take(left) {
            let external_id = row.tenant.external_id.as_ref().map(ExternalId::as_str).unwrap_or_default();
            let (created, name) = (moment(row.created_at), printable(&row.tenant.name));
            print(format_args!("{}  {:20}  {created:20}  {name}", row.tenant.id, printable(external_id)))?;
        }
        left = left.saturating_sub(page.rows.len());
        let is_full = i64::try_from(page.rows.len()).is_ok_and(|count| count >= PAGE);
        let last = page.rows.last().map(|row| row.tenant.id);
        let before = if is_full { last } else { page.examined_to.map(Into::into) };
        if before.is_none() || left == 0 {
            return Ok(());
        }
        page = store.list_tenants(wanted.q.as_deref(), before, PAGE).await?;
    }
}

fn show(row: &TenantRow) -> Result<(), Failure> {
    let limit = |limit: Option<u32>| limit.map_or("the instance's".to_owned(), |limit| limit.to_string());
    print(format_args!("id                  {}", row.tenant.id))?;
    print(format_args!("name                {}", printable(&row.tenant.name)))?;
    print(format_args!(
        "external id         {}",
        row.tenant.external_id.as_ref().map(ExternalId::as_str).unwrap_or_default()
    ))?;
    print(format_args!("max subscriptions   {}", limit(row.tenant.limits.max_subscriptions)))?;
    print(format_args!("publish per second  {}", limit(row.tenant.limits.publish_per_second)))?;
    print(format_args!("created             {}", moment(row.created_at)))?;
    print(format_args!("updated             {}", moment(row.updated_at)))?;
    for (key, value) in row.metadata.entries() {
        print(format_args!("metadata            {}={}", printable(key), printable(value)))?;
    }
    Ok(())
}

async fn update(store: &Store, wanted: &Update) -> Result<(), Failure> {
    let row = find(store, &wanted.of.tenant).await?;
    let current = row.choices();
    let choices = wanted.fields.over(TenantChoices { name: wanted.name.clone().unwrap_or(current.name), ..current })?;
    let written = store.change_tenant(&row, &choices, &Actor::COMMAND).await.map_err(taken)?;
    let written = written.ok_or_else(|| Failure::new("the tenant was changed meanwhile; try again".to_owned()))?;
    show(&written)
}

async fn delete(store: &Store, name: &TenantName) -> Result<(), Failure> {
    let id = find(store, name).await?.tenant.id;
    if id == DEFAULT_TENANT {
        return Err(Failure::new("the tenant default cannot be deleted".to_owned()));
    }
    store.delete_tenant(id, &Actor::COMMAND).await?;
    let mut ended = 0;
    loop {
        let (now, _) = store.end_subscriptions(id, ENDED_AT_ONCE, Some(&Actor::COMMAND)).await?;
        ended += now;
        if now < ENDED_AT_ONCE {
            break;
        }
    }
    print(format_args!(
        "tenant {id} is deleted, and {ended} subscriptions with it; within a second no replica takes its keys"
    ))?;
    Ok(())
}

fn taken(error: StoreError) -> Failure {
    match error {
        StoreError::Constraint(name) if name == "tenants_external_id" => {
            Failure::new("another tenant has this external id; nothing was changed".to_owned())
        }
        other => other.into(),
    }
}
