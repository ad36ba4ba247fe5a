//! Where scenarios run: a private, durable PostgreSQL in a temporary folder, and databases on it.
//!
//! PostgreSQL makes checkpoints only when it is asked to: one in the middle of a slice would
//! make it dearer than the next one. Commits are on disk before they are answered, as elsewhere.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use postrider::commands::dev::Cluster;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio_postgres::{Client, NoTls};

use crate::failure::Failure;

/// Settings of PostgreSQL that need no restart.
const SETTINGS: [&str; 2] = ["checkpoint_timeout = '1h'", "max_wal_size = '16GB'"];
/// Longest wait for the connections of a stopped service to end.
const QUIET_LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// One PostgreSQL, and how much a scenario should do on it.
pub(crate) struct Lab {
    cluster: Option<Cluster>,
    folder: PathBuf,
    is_quick: bool,
    databases: AtomicU32,
}

/// A database, and a connection to count and to look over.
pub(crate) struct Database {
    pub(crate) url: String,
    pub(crate) client: Arc<Client>,
    name: String,
    server_url: String,
}

impl Lab {
    /// Starts PostgreSQL in a folder of its own.
    ///
    /// # Errors
    /// [`Failure`] where it does not start.
    pub(crate) async fn start(is_quick: bool) -> Result<Self, Failure> {
        raise_descriptor_limit();
        let folder = std::env::temp_dir().join(format!("postrider-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let place = folder.clone();
        let cluster = tokio::task::spawn_blocking(move || Cluster::start(&place)).await??;
        let lab = Self { cluster: Some(cluster), folder, is_quick, databases: AtomicU32::new(0) };
        lab.configure(&SETTINGS).await?;
        Ok(lab)
    }

    /// Changes settings of PostgreSQL; those that need a restart come with [`Lab::restart`].
    pub(crate) async fn configure(&self, settings: &[&str]) -> Result<(), Failure> {
        let client = connect(&self.cluster()?.url()).await?;
        for setting in settings {
            client.batch_execute(&format!("alter system set {setting}")).await?;
        }
        client.batch_execute("select pg_reload_conf()").await?;
        Ok(())
    }

    /// Stops PostgreSQL in order and starts it again.
    pub(crate) async fn restart(&mut self) -> Result<(), Failure> {
        let Some(cluster) = self.cluster.take() else { return Err(Failure::new("PostgreSQL is gone")) };
        let restarting = tokio::task::spawn_blocking(move || {
            let restarted = cluster.stop().and_then(|()| cluster.start_again());
            (cluster, restarted)
        });
        let (cluster, restarted) = restarting.await?;
        self.cluster = Some(cluster);
        Ok(restarted?)
    }

    /// Stops PostgreSQL and removes the folder.
    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        if let Some(cluster) = self.cluster.take() {
            tokio::task::spawn_blocking(move || cluster.stop()).await??;
        }
        // What the system cannot remove now, its own cleaning of temporary files will.
        let _ = std::fs::remove_dir_all(&self.folder);
        Ok(())
    }

    /// A new, empty database. The checkpoint lets each begin alike.
    pub(crate) async fn database(&self) -> Result<Database, Failure> {
        let server_url = self.cluster()?.url();
        let name = format!("bench_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        connect(&server_url).await?.batch_execute(&format!("create database {name}")).await?;
        let server = server_url.rsplit_once('/').map_or(server_url.as_str(), |(server, _)| server);
        let url = format!("{server}/{name}");
        let client = Arc::new(connect(&url).await?);
        client.batch_execute("checkpoint").await?;
        Ok(Database { client, url, name, server_url })
    }

    /// Process id of PostgreSQL.
    pub(crate) fn postmaster(&self) -> Result<u32, Failure> {
        let pid = self.cluster()?.postmaster_pid();
        pid.ok_or_else(|| Failure::new("the process id of PostgreSQL is not known"))
    }

    /// How much of something the whole scenario needs, or the quick one.
    pub(crate) fn pick<T>(&self, whole: T, quick: T) -> T {
        if self.is_quick { quick } else { whole }
    }

    fn cluster(&self) -> Result<&Cluster, Failure> {
        self.cluster.as_ref().ok_or_else(|| Failure::new("PostgreSQL is gone"))
    }
}

impl Database {
    /// Removes it, so that no vacuum of it comes while another is measured.
    pub(crate) async fn remove(&self) -> Result<(), Failure> {
        let drop = format!("drop database if exists {} with (force)", self.name);
        Ok(connect(&self.server_url).await?.batch_execute(&drop).await?)
    }

    /// Waits until every connection of the stopped services has ended: only then has
    /// PostgreSQL counted all they did.
    pub(crate) async fn quiet(&self) -> Result<(), Failure> {
        const CONNECTIONS: &str = "
            select count(*)
            from pg_stat_activity as a
            where a.application_name = 'postrider'
                and a.datname = current_database()";
        let deadline = Instant::now() + QUIET_LIMIT;
        while self.client.query_one(CONNECTIONS, &[]).await?.get::<_, i64>(0) > 0 {
            if Instant::now() > deadline {
                return Err(Failure::new("connections of the stopped service are still open"));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}

/// A connection to PostgreSQL.
pub(crate) async fn connect(database_url: &str) -> Result<Client, Failure> {
    let (client, connection) = tokio_postgres::connect(database_url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Thousands of connections need as many descriptors; the soft limit is often 1,024.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if setrlimit(Resource::Nofile, limit).is_err() {
        eprintln!("bench: the limit of open descriptors stays as it is");
    }
}
