//! `postrider dev`: everything on one machine, with a PostgreSQL of its own.
//!
//! Prepares what a replica needs (a cluster in `.postrider/`, a master key kept beside it)
//! and says how to try it. It does not serve: that is the ordinary replica, run on the
//! settings that come out of here.

mod binaries;
mod cluster;
mod folder;
mod lock;
mod master_key;

pub use cluster::Cluster;

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::config::{Config, Settings};
use folder::DevFolder;
use lock::DevLock;

/// Why the development environment cannot be had. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    /// No PostgreSQL on this machine.
    #[error("PostgreSQL {0} or newer is not installed: run `make setup`, or install your system's PostgreSQL server")]
    NotInstalled(u32),
    /// The data belongs to another major version.
    #[error(
        "the data in {data} was made by PostgreSQL {version}, which is not installed: install it, or remove .postrider \
         to start with an empty database",
        data = data.display()
    )]
    OtherVersion {
        /// The data directory.
        data: PathBuf,
        /// The version that made it.
        version: u32,
    },
    /// PostgreSQL refuses to run as root, and there is nobody else.
    #[error(
        "PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody`: run as another user"
    )]
    NobodyToRunAs,
    /// The data was made by another user.
    #[error("{path} belongs to another user: run as that user or as root, or remove .postrider", path = path.display())]
    OtherOwner {
        /// What belongs to somebody else.
        path: PathBuf,
    },
    /// A second `postrider dev` in one folder.
    #[error("postrider dev is already running in this folder ({0}): use that one, or stop it first")]
    Running(String),
    /// A program of PostgreSQL failed.
    #[error("{program} failed; its last words: {output}")]
    Program {
        /// Which one.
        program: String,
        /// What it printed, or the end of the server's log.
        output: String,
    },
    /// The system refused something.
    #[error("cannot {doing} {path}: {source}", path = path.display())]
    System {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The key that seals the secrets of the data is not readable as one.
    #[error("{path} holds no master key: put the old file back, or remove .postrider to start afresh", path = path.display())]
    MasterKey {
        /// The file.
        path: PathBuf,
    },
    /// Preparing ended without an answer.
    #[error("preparing was interrupted; start again")]
    Interrupted,
}

impl DevError {
    fn system(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::System { doing, path, source }
    }
}

/// A running private PostgreSQL and the settings that lead to it. Dropping it stops
/// PostgreSQL; [`DevEnvironment::stop`] does so without blocking a runtime thread.
pub struct DevEnvironment {
    /// The user's settings with the database and the master key filled in. A
    /// `DATABASE_URL` is set aside: dev never touches a database it does not own.
    pub settings: Settings,
    // Fields are dropped in this order: the folder is free only when PostgreSQL is down.
    cluster: Cluster,
    _lock: DevLock,
}

/// Starts (or takes over) the PostgreSQL of this folder and completes the settings.
/// The first time takes some seconds. What the environment says stays in effect, except
/// where the database is.
///
/// # Errors
/// [`DevError`] says what to do.
pub async fn prepare(folder: &Path, settings: Settings) -> Result<DevEnvironment, DevError> {
    let folder = folder.to_owned();
    let preparing = tokio::task::spawn_blocking(move || prepare_blocking(&folder, settings));
    preparing.await.map_err(|_| DevError::Interrupted)?
}

fn prepare_blocking(folder: &Path, mut settings: Settings) -> Result<DevEnvironment, DevError> {
    let place = DevFolder::prepare(folder)?;
    let address = settings.listen.map(reachable).unwrap_or_else(|| "127.0.0.1:8000".to_owned());
    let lock = DevLock::take(place.state(), &format!("http://{address}/"))?;
    let given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    if !given(&settings.master_keys) && settings.master_keys_file.is_none() {
        settings.master_keys = Some(master_key::kept_in(place.state())?);
    }
    let cluster = Cluster::start_in(place)?;
    settings.database_url = Some(cluster.url());
    settings.database_url_file = None;
    settings.database_direct_url = None;
    settings.database_direct_url_file = None;
    Ok(DevEnvironment { settings, cluster, _lock: lock })
}

impl DevEnvironment {
    /// The URL of the database, for psql.
    pub fn database_url(&self) -> String {
        self.cluster.url()
    }

    /// Stops PostgreSQL and frees the folder.
    ///
    /// # Errors
    /// [`DevError`] where PostgreSQL does not stop.
    pub async fn stop(self) -> Result<(), DevError> {
        let stopping = tokio::task::spawn_blocking(move || self.cluster.stop());
        stopping.await.map_err(|_| DevError::Interrupted)?
    }
}

/// What a user reads when all is up: where things are, and lines that work when pasted.
/// `program` is how this program was called.
pub fn banner(environment: &DevEnvironment, config: &Config, program: &str) -> String {
    let (api, ops) = (reachable(config.listen), reachable(config.ops_listen));
    let json = "-H 'content-type: application/json'";
    let mut text = String::new();
    let lines = [
        "postrider is running. ctrl-c stops all of it; the data stays in .postrider".to_owned(),
        String::new(),
        format!("  API        http://{api}/"),
        format!("  docs       http://{api}/docs   http://{api}/redoc"),
        format!("  metrics    http://{ops}/metrics"),
        format!("  database   psql '{}'", environment.database_url()),
        String::new(),
        "In a second terminal, a receiver that prints what arrives:".to_owned(),
        String::new(),
        format!("  {program} listen"),
        String::new(),
        "In a third, a subscription to it, and an event (SUBSCRIPTION_ID is the id of the first answer):".to_owned(),
        String::new(),
        format!("  curl -sS http://{api}/subscriptions/ {json} -d '{{\"target_url\": \"http://127.0.0.1:9100/\"}}'"),
        format!("  curl -sS http://{api}/ingest/SUBSCRIPTION_ID {json} -d '{{\"hello\": \"world\"}}'"),
    ];
    for line in lines {
        writeln!(text, "{line}").expect("writing to a text cannot fail");
    }
    text
}

/// The address as a client on this machine writes it: nobody can dial 0.0.0.0 everywhere.
fn reachable(address: SocketAddr) -> String {
    let loopback = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        ip => ip,
    };
    SocketAddr::new(loopback, address.port()).to_string()
}
