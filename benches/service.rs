//! What is loaded: a replica on free ports, as a process of its own.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::failure::Failure;
use crate::load::{self, PLAIN};
use crate::meter::connect;
use postrider::domain::keyring::Keyring;

/// Longest wait for the service to answer, and for its end.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// A running replica. Dropping it kills it.
pub(crate) struct Service {
    /// Where its API answers, if it has one.
    pub(crate) api: SocketAddr,
    ops: SocketAddr,
    child: Child,
}

impl Service {
    /// Starts this half, or both (`serve`), with these settings besides those that every
    /// measurement has, and waits until it is ready.
    pub(crate) async fn start(half: &str, database_url: &str, settings: &[(&str, &str)]) -> Result<Self, Failure> {
        let (api, ops) = (free_address()?, free_address()?);
        let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
        command
            .arg(half)
            .env("DATABASE_URL", database_url)
            .env("POSTRIDER_MASTER_KEYS", Keyring::entry("bench", [0; 32]))
            .env("POSTRIDER_AUTH", "off")
            .env("POSTRIDER_ALLOW_HTTP", "true")
            .env("POSTRIDER_ALLOW_TARGETS", "127.0.0.0/8")
            .env("POSTRIDER_LISTEN", api.to_string())
            .env("POSTRIDER_OPS_LISTEN", ops.to_string())
            // It would say that it is open to everybody, which is meant here.
            .env("POSTRIDER_LOG", "warn,postrider::commands=error")
            .envs(settings.iter().copied())
            .stdout(Stdio::null())
            .kill_on_drop(true);
        let service = Self { api, ops, child: command.spawn()? };
        // The listener of operations is bound by every half, after the schema is up.
        let ready = if half == "worker" { ops } else { api };
        let deadline = Instant::now() + PATIENCE;
        while tokio::net::TcpStream::connect(ready).await.is_err() {
            if Instant::now() > deadline {
                return Err(Failure::new("the service did not start".to_owned()));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(service)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// Makes a subscription to a target of the receiver, for events of this type, with these
    /// further fields; returns its id.
    pub(crate) async fn subscribe(
        &self,
        receiver: SocketAddr,
        target: usize,
        event_type: &str,
        further: Value,
    ) -> Result<String, Failure> {
        let mut document = serde_json::json!({
            "target_url": format!("http://{receiver}/{target}"),
            "event_types": [event_type],
        });
        if let (Some(fields), Value::Object(further)) = (document.as_object_mut(), further) {
            fields.extend(further);
        }
        let answer = load::post(self.api, "/subscriptions/", document.to_string()).await?;
        let document: Value = serde_json::from_str(&answer).unwrap_or_default();
        let id = document.get("id").and_then(Value::as_str).map(str::to_owned);
        id.ok_or_else(|| Failure::new(format!("no subscription was made: {answer}")))
    }

    /// Makes an ordinary subscription to the receiver and returns its ingest path.
    pub(crate) async fn subscribe_plainly(&self, receiver: SocketAddr) -> Result<String, Failure> {
        let id = self.subscribe(receiver, 0, PLAIN, Value::Null).await?;
        Ok(format!("/ingest/{id}"))
    }

    /// Accepting and recording statements so far, by its own metrics.
    pub(crate) async fn batches(&self) -> Result<f64, Failure> {
        Ok(self.count("postrider_accept_batch_rows_count").await?
            + self.count("postrider_record_batch_rows_count").await?)
    }

    /// Attempts so far with this outcome, by its own metrics.
    pub(crate) async fn attempts(&self, outcome: &str) -> Result<f64, Failure> {
        self.count(&format!("postrider_attempts_total{{outcome=\"{outcome}\"}}")).await
    }

    async fn count(&self, name: &str) -> Result<f64, Failure> {
        let metrics = load::get(self.ops, "/metrics").await?;
        let count = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok());
        count.ok_or_else(|| Failure::new(format!("the metrics do not count {name}")))
    }

    /// Ends it as a power cut would.
    pub(crate) async fn kill(mut self) -> Result<(), Failure> {
        Ok(self.child.kill().await?)
    }

    /// Ends it in order: what was sent is recorded first.
    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM).map_err(std::io::Error::from)?;
        }
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = ended.map_err(|_| Failure::new("the service did not stop".to_owned()))??;
        if status.success() { Ok(()) } else { Err(Failure::new(format!("the service ended badly: {status}"))) }
    }
}

fn free_address() -> Result<SocketAddr, Failure> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// A database of its own, on the same server as another; returns its URL.
pub(crate) async fn make_database(beside: &str, name: &str) -> Result<String, Failure> {
    connect(beside).await?.batch_execute(&format!("create database {name}")).await?;
    let server = beside.rsplit_once('/').map_or(beside, |(server, _)| server);
    Ok(format!("{server}/{name}"))
}
