//! Migrates the schema; safe to run from several processes.
//!
//! refinery takes no lock. An advisory lock is polled, because a waiting lock would hold a snapshot and block a
//! concurrent index build. A transaction on its own connection holds it, so that a pooler cannot keep it alive.

mod fresh;
mod statements;
mod steps;

use std::time::Duration;

use refinery_core::Target;
use time::OffsetDateTime;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::error::in_words;
use super::{Store, StoreError, functions, sql};
use fresh::Fresh;
use statements::ByStatement;

/// `postrider` in ASCII, cut to eight bytes.
const LOCK: i64 = 0x706f_7374_7269_6465;
const LOCK_POLL: Duration = Duration::from_millis(100);
const LOCK_LIMIT: Duration = Duration::from_secs(120);
/// Other statements wait behind a waiting DDL lock.
const PATIENCE: &str = "set lock_timeout = '1s'";
const TRIES: u32 = 60;
const PARTITION_DAYS_BEHIND: i32 = 1;
pub(super) const PARTITION_DAYS_AHEAD: i32 = 7;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaPolicy {
    /// Migrates it; rejects a newer one (`postrider migrate`).
    Migrate,
    /// Migrates it; accepts one that is newer by one step, for rolling upgrades.
    MigrateOrFollow,
    /// Changes nothing; rejects an older one.
    CheckOnly,
}

#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a migration failed: {}", of_migration(.0))]
    Migration(#[from] refinery_core::Error),
    /// Another program's table has a name that ours need.
    #[error(
        "{said}: another program uses the schema {schema}; set POSTRIDER_SCHEMA to a schema of its own (it becomes the \
         search_path of every connection). Nothing was changed"
    )]
    NameTaken { said: String, schema: String },
    #[error("the database's encoding is {0}: create the database with encoding UTF8. Nothing was changed")]
    Encoding(String),
    #[error("another process has been migrating for {} s; look for it in pg_stat_activity", LOCK_LIMIT.as_secs())]
    Locked,
    /// A version before the first release created the tables.
    #[error(
        "the tables in schema {0} are of a development version that cannot be upgraded: use a new database (or another \
         POSTRIDER_SCHEMA); for postrider dev, remove the folder .postrider"
    )]
    Foreign(String),
    #[error("the schema has version {found}, this postrider knows {known}: start a newer postrider")]
    Newer { found: i32, known: i32 },
    #[error("the schema lacks functions of this postrider: run `postrider migrate`, or set POSTRIDER_MIGRATE=true")]
    Functions,
    /// The schema is too old, and migrating is off.
    #[error(
        "the schema has version {found}, this postrider needs {known}: run `postrider migrate`, or set POSTRIDER_MIGRATE=true"
    )]
    Older { found: i32, known: i32 },
}

impl From<tokio_postgres::Error> for MigrateError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Store(error.into())
    }
}

fn known_version() -> i32 {
    let migrations = steps::runner();
    migrations.get_migrations().iter().map(|migration| migration.version()).max().unwrap_or(0)
}

impl Store {
    pub async fn migrate(&self, policy: SchemaPolicy) -> Result<usize, MigrateError> {
        let (locking, mut client) = (self.direct_client().await?, self.direct_client().await?);
        // Held until `locking` is dropped.
        lock(&locking).await?;
        check_encoding(&client).await?;
        self.check_layout(&client).await?;
        check(found_version(&client).await?, policy)?;
        if policy == SchemaPolicy::CheckOnly {
            return if functions::are_missing(&client).await? { Err(MigrateError::Functions) } else { Ok(0) };
        }
        let fresh = Fresh::of(&client, &self.schema).await?;
        let applied = match fresh {
            Some(fresh) => fresh.fill(&mut client).await?,
            None => apply(&mut client, false).await?,
        };
        functions::install(&client).await?;
        self.ensure_partitions().await?;
        Ok(applied)
    }

    async fn check_layout(&self, client: &Client) -> Result<(), MigrateError> {
        let known = steps::runner();
        for (version, name) in applied_steps(client).await? {
            let ours = known.get_migrations().iter().find(|migration| migration.version() == version);
            if ours.is_some_and(|migration| migration.name() != name) {
                return Err(MigrateError::Foreign(self.schema.clone()));
            }
        }
        Ok(())
    }

    /// The version of the schema (0 = none) and of this program.
    pub async fn schema_version(&self) -> Result<(i32, i32), MigrateError> {
        let client = self.direct_client().await?;
        self.check_layout(&client).await?;
        Ok((found_version(&client).await?, known_version()))
    }

    /// Creates the partitions around today that are missing; returns how many.
    pub async fn ensure_partitions(&self) -> Result<i32, StoreError> {
        self.ensure_partitions_from(PARTITION_DAYS_BEHIND).await
    }

    /// And those from the day of `oldest` on.
    pub(crate) async fn ensure_partitions_since(&self, oldest: OffsetDateTime) -> Result<i32, StoreError> {
        let days = (self.clock.now().date() - oldest.date()).whole_days();
        self.ensure_partitions_from(i32::try_from(days).unwrap_or(i32::MAX).max(PARTITION_DAYS_BEHIND)).await
    }

    async fn ensure_partitions_from(&self, days_behind: i32) -> Result<i32, StoreError> {
        use tokio_postgres::types::Type;
        let mut connection = self.maintenance().await?;
        let params: [super::connection::Param<'_>; 2] =
            [(&days_behind, Type::INT4), (&PARTITION_DAYS_AHEAD, Type::INT4)];
        let rows = connection.query(&sql::ENSURE_PARTITIONS, &params).await?;
        Ok(rows.first().map(|row| row.try_get("made")).transpose()?.unwrap_or(0))
    }
}

async fn lock(client: &Client) -> Result<(), MigrateError> {
    let deadline = tokio::time::Instant::now() + LOCK_LIMIT;
    // It holds the lock while other connections run the steps.
    client.batch_execute("set idle_in_transaction_session_timeout = 0").await?;
    client.batch_execute("begin").await?;
    while tokio::time::Instant::now() < deadline {
        let row = client.query_one("select pg_try_advisory_xact_lock($1)", &[&LOCK]).await?;
        if row.try_get(0)? {
            return Ok(());
        }
        tokio::time::sleep(LOCK_POLL).await;
    }
    Err(MigrateError::Locked)
}

/// Events are UTF-8; a database that stores something else cannot hold all of them.
async fn check_encoding(client: &Client) -> Result<(), MigrateError> {
    let encoding: String = client.query_one("select current_setting('server_encoding')", &[]).await?.try_get(0)?;
    if encoding == "UTF8" { Ok(()) } else { Err(MigrateError::Encoding(encoding)) }
}

async fn found_version(client: &Client) -> Result<i32, MigrateError> {
    Ok(applied_steps(client).await?.into_iter().map(|(version, _)| version).max().unwrap_or(0))
}

async fn applied_steps(client: &Client) -> Result<Vec<(i32, String)>, MigrateError> {
    let present = client.query_one("select to_regclass('refinery_schema_history') is not null", &[]).await?;
    if !present.try_get::<_, bool>(0)? {
        return Ok(Vec::new());
    }
    let rows = client.query("select version, name from refinery_schema_history", &[]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

fn of_migration(error: &refinery_core::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| (*cause).source());
    let said = causes.filter_map(|cause| cause.downcast_ref::<tokio_postgres::Error>()).map(in_words).next();
    match (error.kind(), said) {
        (refinery_core::error::Kind::Connection(doing, _), Some(said)) => format!("{doing}: {said}"),
        (_, Some(said)) => said,
        (_, None) => error.to_string(),
    }
}

fn check(found: i32, policy: SchemaPolicy) -> Result<(), MigrateError> {
    let known = known_version();
    let newest_allowed = if policy == SchemaPolicy::Migrate { known } else { known + 1 };
    if found > newest_allowed {
        return Err(MigrateError::Newer { found, known });
    }
    if policy == SchemaPolicy::CheckOnly && found < known {
        return Err(MigrateError::Older { found, known });
    }
    Ok(())
}

/// `in_one`: all steps in one transaction. A step that waits for a lock for a second is rolled back and retried, so that no other statement waits longer.
async fn apply(client: &mut Client, in_one: bool) -> Result<usize, MigrateError> {
    let before = applied_steps(client).await?.len();
    client.batch_execute(PATIENCE).await?;
    let mut tries = 0;
    loop {
        let runner = steps::runner().set_abort_missing(false).set_target(Target::Latest);
        let runner = runner.set_grouped(in_one);
        match runner.run_async(&mut ByStatement(client)).await {
            Err(error) if is_busy(&error) && tries < TRIES => {
                tries += 1;
                tokio::time::sleep(LOCK_POLL).await;
            }
            Err(error) => return Err(error.into()),
            Ok(_) => return Ok(applied_steps(client).await?.len() - before),
        }
    }
}

fn is_busy(error: &refinery_core::Error) -> bool {
    let busy = [SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED];
    codes(error).any(|code| busy.contains(code))
}

fn codes(error: &refinery_core::Error) -> impl Iterator<Item = &SqlState> {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| (*cause).source());
    causes.filter_map(|cause| cause.downcast_ref::<tokio_postgres::Error>()).filter_map(tokio_postgres::Error::code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_newer_by_one_step_is_followed_and_by_two_refused() {
        let known = known_version();
        assert!(check(known + 1, SchemaPolicy::MigrateOrFollow).is_ok());
        assert!(matches!(check(known + 2, SchemaPolicy::MigrateOrFollow), Err(MigrateError::Newer { .. })));
        assert!(matches!(check(known + 1, SchemaPolicy::Migrate), Err(MigrateError::Newer { .. })));
    }

    #[test]
    fn an_older_schema_is_refused_only_where_migrating_is_off() {
        assert!(matches!(check(0, SchemaPolicy::CheckOnly), Err(MigrateError::Older { .. })));
        assert!(check(0, SchemaPolicy::MigrateOrFollow).is_ok());
    }
}
