//! Bringing the schema up, once, whoever else tries at the same time.
//!
//! refinery takes no lock of its own, so an advisory lock is polled around it: a *waiting*
//! lock would hold a snapshot, and an index built concurrently waits for those. The lock
//! belongs to a transaction that stays open on a connection of its own, so that a pooler
//! between cannot keep it alive after us.

use std::time::Duration;

use refinery::Target;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::error::in_words;
use super::{Store, StoreError, sql, tls};

mod embedded {
    refinery::embed_migrations!("sql/migrations");
}

/// `postrider` in ASCII, cut to eight bytes: the advisory lock of migrations.
const LOCK: i64 = 0x706f_7374_7269_6465;
const LOCK_POLL: Duration = Duration::from_millis(100);
const LOCK_LIMIT: Duration = Duration::from_secs(120);
/// How long a step waits for a lock, with everybody waiting behind it.
const PATIENCE: &str = "set lock_timeout = '1s'";
/// How often a step is tried again that met somebody who was at work.
const TRIES: u32 = 60;
/// Partitions made at once around today, in days.
const PARTITION_DAYS_BEHIND: i32 = 1;
/// How many days ahead partitions stand.
pub(super) const PARTITION_DAYS_AHEAD: i32 = 7;

/// What to do about a schema that is not exactly ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaPolicy {
    /// Bring it up; refuse one that is newer (`postrider migrate`).
    Migrate,
    /// Bring it up; run on one that is newer by one step, as in a rolling upgrade.
    MigrateOrFollow,
    /// Change nothing; refuse one that is older.
    CheckOnly,
}

/// Why the schema is not usable.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database is away.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A migration failed; it was rolled back.
    #[error("a migration failed: {}", of_migration(.0))]
    Migration(#[from] refinery::Error),
    /// Somebody else has held the lock for too long.
    #[error("another process has been migrating for {} s; look for it in pg_stat_activity", LOCK_LIMIT.as_secs())]
    Locked,
    /// The schema is newer than this program.
    #[error("the schema has version {found}, this postrider knows {known}: start a newer postrider")]
    Newer {
        /// Version of the database.
        found: i32,
        /// Newest version of this program.
        known: i32,
    },
    /// The schema is older than this program, and migrating is switched off.
    #[error(
        "the schema has version {found}, this postrider needs {known}: run `postrider migrate`, or set POSTRIDER_MIGRATE=true"
    )]
    Older {
        /// Version of the database.
        found: i32,
        /// Newest version of this program.
        known: i32,
    },
}

impl From<tokio_postgres::Error> for MigrateError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Store(error.into())
    }
}

/// The newest version this program knows.
fn known_version() -> i32 {
    let migrations = embedded::migrations::runner();
    migrations.get_migrations().iter().map(|migration| migration.version()).max().unwrap_or(0)
}

impl Store {
    /// Brings the schema to this program's version under the given policy, and makes the
    /// partitions around today. Returns how many migrations were applied.
    ///
    /// # Errors
    /// [`MigrateError`] says why the schema is not usable.
    pub async fn migrate(&self, policy: SchemaPolicy) -> Result<usize, MigrateError> {
        let (locking, mut client) = (self.direct_client().await?, self.direct_client().await?);
        // Held until `locking` goes, at the end.
        lock(&locking).await?;
        check(found_version(&client).await?, policy)?;
        let applied = if policy == SchemaPolicy::CheckOnly { 0 } else { apply(&mut client).await? };
        if policy != SchemaPolicy::CheckOnly {
            self.ensure_partitions().await?;
        }
        Ok(applied)
    }

    /// The version of the schema, 0 for none, and the one this program knows.
    ///
    /// # Errors
    /// [`MigrateError`] when the database does not answer.
    pub async fn schema_version(&self) -> Result<(i32, i32), MigrateError> {
        Ok((found_version(&self.direct_client().await?).await?, known_version()))
    }

    /// Makes the partitions around today that are missing; returns how many it made.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn ensure_partitions(&self) -> Result<i32, StoreError> {
        use tokio_postgres::types::Type;
        let mut connection = self.yard().await?;
        let params: [super::connection::Param<'_>; 2] =
            [(&PARTITION_DAYS_BEHIND, Type::INT4), (&PARTITION_DAYS_AHEAD, Type::INT4)];
        let rows = connection.query(&sql::ENSURE_PARTITIONS, &params).await?;
        Ok(rows.first().map(|row| row.try_get("made")).transpose()?.unwrap_or(0))
    }

    /// A connection of its own that leads to PostgreSQL itself.
    pub(super) async fn direct_client(&self) -> Result<Client, StoreError> {
        if self.direct.get_ssl_mode() == tokio_postgres::config::SslMode::Require {
            let (client, connection) = self.direct.connect(tls::connector()).await?;
            tokio::spawn(connection);
            return Ok(client);
        }
        let (client, connection) = self.direct.connect(tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }
}

async fn lock(client: &Client) -> Result<(), MigrateError> {
    let deadline = tokio::time::Instant::now() + LOCK_LIMIT;
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

async fn found_version(client: &Client) -> Result<i32, MigrateError> {
    let present = client.query_one("select to_regclass('refinery_schema_history') is not null", &[]).await?;
    if !present.try_get::<_, bool>(0)? {
        return Ok(0);
    }
    let row = client.query_one("select coalesce(max(version), 0) from refinery_schema_history", &[]).await?;
    Ok(row.try_get(0)?)
}

/// What PostgreSQL said to it, where it said something.
fn of_migration(error: &refinery::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| (*cause).source());
    let said = causes.filter_map(|cause| cause.downcast_ref::<tokio_postgres::Error>()).map(in_words).next();
    match (error.kind(), said) {
        (refinery::error::Kind::Connection(doing, _), Some(said)) => format!("{doing}: {said}"),
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

/// Applies what is missing, and says how many steps that were. A step waits for a lock for a second
/// and then lets those pass who came after it, to be tried again: nobody waits longer for it.
async fn apply(client: &mut Client) -> Result<usize, MigrateError> {
    let before = found_version(client).await?;
    client.batch_execute(PATIENCE).await?;
    let mut tries = 0;
    loop {
        let runner = embedded::migrations::runner().set_abort_missing(false).set_target(Target::Latest);
        match runner.run_async(client).await {
            Err(error) if is_busy(&error) && tries < TRIES => {
                tries += 1;
                tokio::time::sleep(LOCK_POLL).await;
            }
            Err(error) => return Err(error.into()),
            Ok(_) => return Ok(usize::try_from(found_version(client).await? - before).unwrap_or(0)),
        }
    }
}

/// Whether a step met somebody who was at work.
fn is_busy(error: &refinery::Error) -> bool {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| (*cause).source());
    let codes =
        causes.filter_map(|cause| cause.downcast_ref::<tokio_postgres::Error>()).filter_map(|error| error.code());
    let busy = [SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED];
    codes.into_iter().any(|code| busy.contains(code))
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
