//! `postrider dev` prepares a private PostgreSQL and a master key in `.postrider/` for an ordinary replica.

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

#[derive(Debug, thiserror::Error)]
pub enum DevError {
    #[error("PostgreSQL {0} or newer is not installed: run `make setup`, or install your system's PostgreSQL server")]
    NotInstalled(u32),
    #[error(
        "the data in {data} was created by PostgreSQL {version}, which is not installed: install it, or remove .postrider \
         to start with an empty database",
        data = data.display()
    )]
    OtherVersion { data: PathBuf, version: u32 },
    #[error(
        "PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody`: run as another user"
    )]
    NobodyToRunAs,
    #[error("{path} belongs to another user: run as that user or as root, or remove .postrider", path = path.display())]
    OtherOwner { path: PathBuf },
    #[error("postrider dev is already running in this folder ({0}): use that one, or stop it first")]
    Running(String),
    #[error("{program} failed; the end of its output: {output}")]
    Program { program: String, output: String },
    #[error("cannot {doing} {path}: {source}", path = path.display())]
    System { doing: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{path} holds no master key: restore the old file, or remove .postrider to start over", path = path.display())]
    MasterKey { path: PathBuf },
    #[error("the preparation was interrupted; start again")]
    Interrupted,
}

impl DevError {
    fn system(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::System { doing, path, source }
    }
}

/// [`DevEnvironment::stop`] does not block a runtime thread; dropping it stops PostgreSQL too, but blocks.
pub struct DevEnvironment {
    /// The user's settings with database and master key filled in; `DATABASE_URL` is ignored.
    pub settings: Settings,
    // Dropped in this order: the lock is released only after PostgreSQL has stopped.
    cluster: Cluster,
    _lock: DevLock,
}

pub async fn prepare(folder: &Path, settings: Settings) -> Result<DevEnvironment, DevError> {
    let folder = folder.to_owned();
    let preparing = tokio::task::spawn_blocking(move || prepare_blocking(&folder, settings));
    preparing.await.map_err(|_| DevError::Interrupted)?
}

fn prepare_blocking(folder: &Path, mut settings: Settings) -> Result<DevEnvironment, DevError> {
    let prepared = DevFolder::prepare(folder)?;
    let address = settings
        .get("POSTRIDER_LISTEN")
        .and_then(|text| text.parse().ok())
        .map(reachable)
        .unwrap_or_else(|| "127.0.0.1:8000".to_owned());
    let lock = DevLock::take(prepared.state(), &format!("http://{address}/"))?;
    let given = |name| settings.get(name).is_some_and(|text| !text.is_empty());
    if !given("POSTRIDER_MASTER_KEYS") && !given("POSTRIDER_MASTER_KEYS_FILE") {
        settings.set("POSTRIDER_MASTER_KEYS", &master_key::kept_in(prepared.state())?);
    }
    let cluster = Cluster::start_in(prepared)?;
    ["DATABASE_URL_FILE", "DATABASE_DIRECT_URL", "DATABASE_DIRECT_URL_FILE"]
        .iter()
        .for_each(|name| settings.unset(name));
    settings.set("DATABASE_URL", &cluster.url());
    Ok(DevEnvironment { settings, cluster, _lock: lock })
}

impl DevEnvironment {
    pub fn database_url(&self) -> String {
        self.cluster.url()
    }

    pub async fn stop(self) -> Result<(), DevError> {
        let stopping = tokio::task::spawn_blocking(move || self.cluster.stop());
        stopping.await.map_err(|_| DevError::Interrupted)?
    }
}

/// `program` is how this program was called.
pub fn banner(environment: &DevEnvironment, config: &Config, program: &str) -> String {
    let (api, ops) = (reachable(config.listen), reachable(config.ops_listen));
    let json = "-H 'content-type: application/json'";
    let mut text = String::new();
    let lines = [
        "postrider is running. ctrl-c stops all of it; the data stays in .postrider".to_owned(),
        String::new(),
        format!("  dashboard  http://{api}/"),
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

/// Not every system can connect to 0.0.0.0.
fn reachable(address: SocketAddr) -> String {
    let loopback = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        ip => ip,
    };
    SocketAddr::new(loopback, address.port()).to_string()
}
