//! A PostgreSQL of a story's own on a port, for what the shared one cannot show: TLS, standbys, freezing.

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, getuid, kill_process};
use tokio_postgres::{Client, NoTls};

use super::folder::Folder;
use super::process::free_address;
use super::psql;
use super::wait::until;

/// A server that ends, and whose folder goes, with this value.
pub(crate) struct Postgres {
    folder: Folder,
    address: SocketAddr,
    child: Option<Child>,
}

impl Postgres {
    /// Starts one with these lines in its postgresql.conf, and with an empty database `postrider`.
    pub(crate) async fn start(conf: &[&str]) -> Self {
        let folder = Folder::new();
        give(&folder.0);
        let data = folder.0.join("data");
        let made = as_owner("initdb")
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut server = Self { folder, address: free_address(), child: None };
        server.configure(conf);
        server.run().await;
        server.client_of("postgres").await.batch_execute("create database postrider").await.unwrap();
        server
    }

    /// A copy of its files as a standby that follows nobody. This one must be stopped meanwhile.
    pub(crate) async fn standby(&self) -> Self {
        assert!(self.child.is_none(), "the files of a running server are not copied");
        let folder = Folder::new();
        let copied = Command::new("cp").arg("-a").arg(self.data()).arg(&folder.0).status().unwrap();
        assert!(copied.success());
        give(&folder.0);
        std::fs::write(folder.0.join("data/standby.signal"), "").unwrap();
        let mut standby = Self { folder, address: free_address(), child: None };
        standby.run().await;
        standby
    }

    fn configure(&self, conf: &[&str]) {
        let mut file = std::fs::OpenOptions::new().append(true).open(self.data().join("postgresql.conf")).unwrap();
        writeln!(file, "fsync = off\nlisten_addresses = '127.0.0.1'\nlog_connections = on\n{}", conf.join("\n"))
            .unwrap();
    }

    /// Replaces pg_hba.conf; counts from the next start.
    pub(crate) fn admit(&self, lines: &str) {
        std::fs::write(self.data().join("pg_hba.conf"), lines).unwrap();
    }

    /// Writes a file into its folder that only the server's owner may read; returns its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.0.join(name);
        std::fs::write(&path, text).unwrap();
        give(&path);
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        path
    }

    pub(crate) async fn run(&mut self) {
        let mut command = as_owner("postgres");
        command.arg("-D").arg(self.data()).args(["-c", &format!("port={}", self.address.port())]);
        command.arg("-c").arg(format!("unix_socket_directories={}", self.folder.0.display()));
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.folder.0.join("log")).unwrap();
        self.child = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
        let config = self.over_socket("postgres");
        until("PostgreSQL answers", async || {
            let (client, connection) = tokio_postgres::connect(&config, NoTls).await.ok()?;
            tokio::spawn(connection);
            client.batch_execute("select 1").await.ok()
        })
        .await;
    }

    /// Ends it and its sessions at once.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            kill_process(Pid::from_child(&child), Signal::CONT).unwrap();
            kill_process(Pid::from_child(&child), Signal::INT).unwrap();
            child.wait().unwrap();
        }
    }

    /// It takes connections and answers none, until the end.
    pub(crate) fn freeze(&self) {
        kill_process(Pid::from_child(self.child.as_ref().unwrap()), Signal::STOP).unwrap();
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postrider", self.port())
    }

    /// A superuser's session over its socket, whatever it demands of others.
    pub(crate) async fn client(&self) -> Client {
        self.client_of("postrider").await
    }

    async fn client_of(&self, database: &str) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.over_socket(database), NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    fn over_socket(&self, database: &str) -> String {
        format!("host={} port={} user=postgres dbname={database}", self.folder.0.display(), self.port())
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.0.join("log")).unwrap()
    }

    fn data(&self) -> PathBuf {
        self.folder.0.join("data")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A program of PostgreSQL, not as root, whom it refuses.
fn as_owner(name: &str) -> Command {
    let mut command = Command::new(psql::program(name));
    if let Some((user, group)) = owner() {
        command.uid(user).gid(group);
    }
    command.current_dir("/").env("HOME", "/");
    command
}

fn give(path: &Path) {
    if let Some((user, group)) = owner() {
        std::os::unix::fs::chown(path, Some(user), Some(group)).unwrap();
    }
}

/// `None` if we are not root.
pub(crate) fn owner() -> Option<(u32, u32)> {
    if !getuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let of = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    Some(of("postgres").or_else(|| of("nobody")).unwrap())
}
