//! The real program as a child process.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use postrider::domain::keyring::Keyring;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use tokio::process::{Child, Command};

use super::http::Http;
use super::wait::until;

/// A running postrider; it is killed when the value goes.
pub(crate) struct Postrider {
    child: Child,
    api: SocketAddr,
    ops: SocketAddr,
}

/// How to start one.
pub(crate) struct Start<'a> {
    /// The command: `serve`, `api`, `worker`, `dev`.
    pub(crate) command: &'a str,
    /// The database.
    pub(crate) database_url: String,
    /// Settings besides those every test has.
    pub(crate) settings: &'a [(&'a str, &'a str)],
    /// The folder it runs in.
    pub(crate) folder: Option<&'a Path>,
    /// The file that takes its log, instead of the test's own output.
    pub(crate) log: Option<PathBuf>,
    /// What takes its log, if that is no file.
    pub(crate) log_to: Option<Stdio>,
}

impl<'a> Start<'a> {
    /// This command over this database, with the settings of every test.
    pub(crate) fn new(command: &'a str, database_url: String) -> Self {
        Self { command, database_url, settings: &[], folder: None, log: None, log_to: None }
    }

    /// Starts it and waits until it is ready.
    pub(crate) async fn ready(self) -> Postrider {
        let (api, ops) = (free_address(), free_address());
        let mut command = program(self.command, &self.database_url);
        command.env("POSTRIDER_LISTEN", api.to_string()).env("POSTRIDER_OPS_LISTEN", ops.to_string());
        command.envs(self.settings.iter().copied());
        if let Some(folder) = self.folder {
            command.current_dir(folder);
        }
        if let Some(log) = self.log {
            command.stderr(File::create(log).unwrap());
        }
        if let Some(log) = self.log_to {
            command.stderr(log);
        }
        let child = command.stdout(Stdio::null()).kill_on_drop(true).spawn().unwrap();
        let postrider = Postrider { child, api, ops };
        let health = postrider.ops();
        until("the process is ready", async || {
            let answer = health.send(hyper::Method::GET, "/readyz", &[], bytes::Bytes::new()).await;
            answer.ok().filter(|answer| answer.status == 200)
        })
        .await;
        postrider
    }
}

/// The program with the settings of every test: open to loopback, short retries, no key.
pub(crate) fn program(command: &str, database_url: &str) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_postrider"));
    program
        .args(command.split(' '))
        .env_clear()
        .env("DATABASE_URL", database_url)
        .env("POSTRIDER_MASTER_KEYS", Keyring::entry("test", [7; 32]))
        .env("POSTRIDER_AUTH", "off")
        .env("POSTRIDER_ALLOW_HTTP", "true")
        .env("POSTRIDER_ALLOW_TARGETS", "127.0.0.0/8")
        .env("POSTRIDER_RETRY_SCHEDULE", "1s,1s,1s,1s,1s")
        .env("POSTRIDER_LOG", "warn,postrider::commands=error");
    program
}

impl Postrider {
    /// Where its API listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.api
    }

    /// A client of its API, without a key.
    pub(crate) fn http(&self) -> Http {
        Http::new(format!("http://{}", self.api), None)
    }

    /// A client of its API with this key.
    pub(crate) fn http_with(&self, key: &str) -> Http {
        Http::new(format!("http://{}", self.api), Some(key.to_owned()))
    }

    /// A client of its health and metrics.
    pub(crate) fn ops(&self) -> Http {
        Http::new(format!("http://{}", self.ops), None)
    }

    /// Ends it as a power cut would.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks it to stop.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends it SIGHUP.
    pub(crate) fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap()).unwrap()
    }

    /// From now on it cannot open one more file or socket.
    pub(crate) fn take_descriptors(&self) -> Rlimit {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.pid().as_raw_nonzero())).unwrap();
        let open: Vec<u64> = open.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
        let free = (0..).find(|number| !open.contains(number));
        let before =
            prlimit(Some(self.pid()), Resource::Nofile, Rlimit { current: free, ..getrlimit(Resource::Nofile) })
                .unwrap();
        assert!(before.current > free);
        before
    }

    /// As it was before.
    pub(crate) fn give_descriptors(&self, limit: Rlimit) {
        prlimit(Some(self.pid()), Resource::Nofile, limit).unwrap();
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self) -> ExitStatus {
        self.child.wait().await.unwrap()
    }
}

/// An address that nobody listens on now, below those that the system gives to clients: one of
/// them could be taken before the process that it is for has started.
pub(crate) fn free_address() -> SocketAddr {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    loop {
        let place = (std::process::id().wrapping_mul(61).wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed))) % 20_000;
        let address = SocketAddr::from(([127, 0, 0, 1], u16::try_from(10_000 + place).unwrap()));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
