//! What is loaded: processes of postrider on free ports.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use postrider::domain::keyring::Keyring;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::failure::Failure;
use crate::http;
use crate::tenant::{Operator, Tenant};

/// Longest wait for a process to answer, and for its end.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// How processes are started: with which program, on which database, with which settings
/// besides those that every scenario has.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    program: PathBuf,
    database_url: String,
    settings: Vec<(String, String)>,
}

/// A running process. Dropping it kills it.
pub(crate) struct Service {
    /// Where its API answers, if it has one.
    pub(crate) api: SocketAddr,
    ops: SocketAddr,
    child: Child,
}

impl Launch {
    /// The postrider that was built with this benchmark.
    pub(crate) fn on(database_url: &str) -> Self {
        Self::of(Path::new(env!("CARGO_BIN_EXE_postrider")), database_url)
    }

    /// Another postrider.
    pub(crate) fn of(program: &Path, database_url: &str) -> Self {
        Self { program: program.to_owned(), database_url: database_url.to_owned(), settings: Vec::new() }
    }

    /// The same with these settings.
    pub(crate) fn with(mut self, settings: &[(&str, &str)]) -> Self {
        self.settings.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self
    }

    /// API and worker in one process.
    pub(crate) async fn serve(&self) -> Result<Service, Failure> {
        self.start("serve").await
    }

    /// The API alone.
    pub(crate) async fn api(&self) -> Result<Service, Failure> {
        self.start("api").await
    }

    /// A worker alone.
    pub(crate) async fn worker(&self) -> Result<Service, Failure> {
        self.start("worker").await
    }

    /// Makes tenants by name, once the schema is up.
    pub(crate) async fn tenants<const N: usize>(&self, names: [&str; N]) -> Result<Vec<Tenant>, Failure> {
        let mut tenants = Vec::with_capacity(N);
        for name in names {
            tenants.push(Tenant::create(&self.program, &self.database_url, name).await?);
        }
        Ok(tenants)
    }

    /// Makes an operator key, once the schema is up.
    pub(crate) async fn operator(&self) -> Result<Operator, Failure> {
        Operator::create(&self.program, &self.database_url).await
    }

    /// Starts a process and waits until it is ready.
    async fn start(&self, half: &str) -> Result<Service, Failure> {
        let (api, ops) = (free_address()?, free_address()?);
        let mut command = Command::new(&self.program);
        command
            .arg(half)
            .env("DATABASE_URL", &self.database_url)
            .env("POSTRIDER_MASTER_KEYS", master_key())
            .env("POSTRIDER_ALLOW_HTTP", "true")
            .env("POSTRIDER_ALLOW_TARGETS", "127.0.0.0/8")
            .env("POSTRIDER_LISTEN", api.to_string())
            .env("POSTRIDER_OPS_LISTEN", ops.to_string())
            .env("POSTRIDER_LOG", "error")
            .envs(self.settings.iter().cloned())
            .stdout(Stdio::null())
            .kill_on_drop(true);
        let service = Service { api, ops, child: command.spawn()? };
        // The listener of operations is bound by every half, after the schema is up.
        let ready = if half == "worker" { ops } else { api };
        let deadline = Instant::now() + PATIENCE;
        while tokio::net::TcpStream::connect(ready).await.is_err() {
            if Instant::now() > deadline {
                return Err(Failure::new(format!("postrider {half} did not start")));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(service)
    }
}

impl Service {
    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// Accepting and recording statements so far, by its own metrics.
    pub(crate) async fn batches(&self) -> Result<f64, Failure> {
        let accepting = self.count("postrider_accept_batch_rows_count").await?;
        let recording = self.count("postrider_record_batch_rows_count").await?;
        Ok(accepting.unwrap_or(0.0) + recording.unwrap_or(0.0))
    }

    /// Attempts so far with this outcome, by its own metrics.
    pub(crate) async fn attempts(&self, outcome: &str) -> Result<f64, Failure> {
        let count = self.count(&format!("postrider_attempts_total{{outcome=\"{outcome}\"}}")).await?;
        Ok(count.unwrap_or(0.0))
    }

    /// Takes from the queue so far that brought something and that brought nothing; `None`
    /// where its metrics do not count them.
    pub(crate) async fn takes(&self) -> Result<Option<(f64, f64)>, Failure> {
        let some = self.count("postrider_takes_total{result=\"some\"}").await?;
        let none = self.count("postrider_takes_total{result=\"none\"}").await?;
        Ok(some.zip(none))
    }

    async fn count(&self, name: &str) -> Result<Option<f64>, Failure> {
        let metrics = http::get(self.ops, "/metrics").await?;
        Ok(metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok()))
    }

    /// Ends it as a power cut would.
    pub(crate) async fn kill(mut self) -> Result<(), Failure> {
        Ok(self.child.kill().await?)
    }

    /// Ends it in order: what was sent is recorded first.
    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM)?;
        }
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = ended.map_err(|_| Failure::new("postrider did not stop"))??;
        if status.success() { Ok(()) } else { Err(Failure::new(format!("postrider ended badly: {status}"))) }
    }
}

/// The master key of every service here.
pub(crate) fn master_key() -> String {
    Keyring::entry("bench", [0; 32])
}

fn free_address() -> Result<SocketAddr, Failure> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
