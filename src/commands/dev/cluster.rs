//! A private PostgreSQL on a Unix socket.
//!
//! `pg_ctl` detaches the server from the terminal, so ctrl-c does not reach it: this module stops it after its last
//! client. Everything here blocks.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use super::DevError;
use super::binaries::Binaries;
use super::folder::DevFolder;

const DATABASE: &str = "postrider";
const SUPERUSER: &str = "postrider";
const WAIT_SECONDS: &str = "120";
const SERVER_SETTINGS: [&str; 4] =
    ["listen_addresses=", "unix_socket_permissions=0700", "fsync=on", "shared_buffers=128MB"];
const LOG_LINES: usize = 8;

/// A PostgreSQL that belongs to one folder. Dropping it stops the server.
pub struct Cluster {
    folder: DevFolder,
    binaries: Binaries,
    running: AtomicBool,
}

impl Cluster {
    /// Starts or reuses the folder's cluster; the first start takes seconds.
    pub fn start(folder: &Path) -> Result<Self, DevError> {
        Self::start_in(DevFolder::prepare(folder)?)
    }

    pub(super) fn start_in(folder: DevFolder) -> Result<Self, DevError> {
        let binaries = Binaries::find(&folder.postgres().join("data"))?;
        let cluster = Self { folder, binaries, running: AtomicBool::new(false) };
        if !cluster.data().join("PG_VERSION").is_file() {
            cluster.initialise()?;
        }
        cluster.start_again()?;
        cluster.ensure_database()?;
        Ok(cluster)
    }

    pub fn url(&self) -> String {
        format!("postgres://{SUPERUSER}@{}/{DATABASE}", percent_encoded(self.folder.socket().as_os_str()))
    }

    /// Process id of the running server; `None` if its pid file is not readable.
    pub fn postmaster_pid(&self) -> Option<u32> {
        fs::read_to_string(self.data().join("postmaster.pid")).ok()?.lines().next()?.parse().ok()
    }

    pub fn start_again(&self) -> Result<(), DevError> {
        self.folder.open_socket_folder()?;
        let status = self.command("pg_ctl").args(["-D", "data", "status"]).output();
        if !status.map_err(DevError::system("run", &self.binaries.path("pg_ctl")))?.status.success() {
            let settings: String = SERVER_SETTINGS.iter().map(|setting| format!("-c {setting} ")).collect();
            let options = format!("{settings} -p 5432 -k {}", shell_quoted(self.folder.socket()));
            let mut start = self.command("pg_ctl");
            start.args(["-D", "data", "-l", "log", "-w", "-t", WAIT_SECONDS, "-o", &options, "start"]);
            self.run(start)?;
        }
        self.running.store(true, Ordering::SeqCst);
        Ok(())
    }

    pub fn stop(&self) -> Result<(), DevError> {
        self.stop_by("fast")
    }

    /// Kills the server like a power cut; the next start recovers.
    pub fn stop_immediately(&self) -> Result<(), DevError> {
        self.stop_by("immediate")
    }

    fn stop_by(&self, mode: &str) -> Result<(), DevError> {
        if !self.running.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        let mut stop = self.command("pg_ctl");
        stop.args(["-D", "data", "-m", mode, "-w", "-t", WAIT_SECONDS, "stop"]);
        self.run(stop)?;
        self.folder.close_socket_folder();
        Ok(())
    }

    fn initialise(&self) -> Result<(), DevError> {
        // Renamed when complete, so that an interrupted run leaves no half-made cluster.
        let draft = self.folder.postgres().join("data.new");
        if draft.exists() {
            fs::remove_dir_all(&draft).map_err(DevError::system("remove", &draft))?;
        }
        let mut initdb = self.command("initdb");
        initdb.args(["-D", "data.new", "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"]);
        self.run(initdb)?;
        fs::rename(&draft, self.data()).map_err(DevError::system("rename", &draft))
    }

    fn ensure_database(&self) -> Result<(), DevError> {
        let mut psql = self.command("psql");
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-p", "5432", "-U", SUPERUSER, "-d", "postgres", "-h"]);
        psql.arg(self.folder.socket()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let program = self.binaries.path("psql");
        let mut running = psql.spawn().map_err(DevError::system("run", &program))?;
        let mut input = running.stdin.take().expect("its standard input is a pipe");
        writeln!(
            input,
            "select 'create database {DATABASE}' where not exists \
             (select from pg_database where datname = '{DATABASE}') \\gexec"
        )
        .map_err(DevError::system("write to", &program))?;
        drop(input);
        let output = running.wait_with_output().map_err(DevError::system("run", &program))?;
        self.check(&program, &output)
    }

    fn data(&self) -> PathBuf {
        self.folder.postgres().join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.folder.command(&self.binaries.path(program));
        // initdb and pg_ctl call other programs of PostgreSQL.
        command.env("PATH", format!("{}:/usr/bin:/bin", self.binaries.folder().display()));
        command
    }

    fn run(&self, mut command: Command) -> Result<(), DevError> {
        let program = PathBuf::from(command.get_program());
        let output = command.stdin(Stdio::null()).output().map_err(DevError::system("run", &program))?;
        self.check(&program, &output)
    }

    fn check(&self, program: &Path, output: &Output) -> Result<(), DevError> {
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let log_path = self.folder.postgres().join("log");
        let log = fs::read_to_string(&log_path).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default().join("\n");
        let output = format!("{said}\n{tail}\n(the whole log is {})", log_path.display());
        let program = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Err(DevError::Program { program, output })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _unheard = self.stop();
    }
}

fn percent_encoded(path: &OsStr) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let encoded = path.as_bytes().iter();
    encoded.map(|&byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn shell_quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_odd_letters_becomes_a_host() {
        assert_eq!(percent_encoded(OsStr::new("/a b/ü@.x")), "%2Fa%20b%2F%C3%BC%40.x");
    }

    #[test]
    fn a_quote_in_a_path_stays_inside_its_word() {
        assert_eq!(shell_quoted(Path::new("/it's")), r"'/it'\''s'");
    }
}
