//! Paths and owners of the files of a development environment.
//!
//! PostgreSQL refuses to run as root, so under root an unprivileged user owns `postgres/`. If that user cannot reach
//! the folder, or the socket's path would be too long, `.postrider` is a link into `/var/lib/postrider`. For an
//! ordinary user only the socket moves, into the folder for temporary files.

use std::fs::{self, DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use ring::digest::{SHA256, digest};

use super::DevError;

/// The system's limit is 107 bytes on Linux and 103 elsewhere.
const MAX_SOCKET_PATH_BYTES: usize = 100;
const SOCKET_NAME: &str = ".s.PGSQL.5432";
const ELSEWHERE: &str = "/var/lib/postrider";
/// PostgreSQL's user must be able to pass through; nobody else may list the folder.
const PASSAGE: u32 = 0o711;
const PRIVATE: u32 = 0o700;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    uid: u32,
    gid: u32,
}

#[derive(Debug, Clone)]
pub(super) struct DevFolder {
    state: PathBuf,
    socket: PathBuf,
    owner: Option<Owner>,
}

impl DevFolder {
    pub(super) fn prepare(folder: &Path) -> Result<Self, DevError> {
        let folder = folder.canonicalize().map_err(DevError::system("find", folder))?;
        let as_root = rustix::process::geteuid().is_root();
        let state = if as_root { state_of_root(&folder)? } else { state_of_user(&folder)? };
        let postgres = state.join("postgres");
        make_folder(&postgres, PRIVATE)?;
        let found = fs::metadata(&postgres).map_err(DevError::system("look at", &postgres))?;
        let owner = match (as_root, found.uid()) {
            (true, 0) => Some(unprivileged()?),
            (true, uid) => Some(Owner { uid, gid: found.gid() }),
            (false, uid) if uid == rustix::process::geteuid().as_raw() => None,
            (false, _) => return Err(DevError::OtherOwner { path: postgres }),
        };
        if let Some(Owner { uid, gid }) = owner {
            chown(&postgres, Some(uid), Some(gid)).map_err(DevError::system("hand over", &postgres))?;
        }
        let socket = socket_folder(&folder, postgres);
        Ok(Self { state, socket, owner })
    }

    pub(super) fn state(&self) -> &Path {
        &self.state
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.state.join("postgres")
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(super) fn open_socket_folder(&self) -> Result<(), DevError> {
        if self.socket == self.postgres() {
            return Ok(());
        }
        make_folder(&self.socket, PRIVATE)?;
        // Anybody may create a folder in /tmp, so the owner is checked.
        let found = fs::symlink_metadata(&self.socket).map_err(DevError::system("look at", &self.socket))?;
        let uid = rustix::process::geteuid().as_raw();
        if found.is_dir() && found.uid() == uid && found.mode() & 0o077 == 0 {
            Ok(())
        } else {
            Err(DevError::OtherOwner { path: self.socket.clone() })
        }
    }

    pub(super) fn close_socket_folder(&self) {
        if self.socket != self.postgres() {
            // Not empty means in use.
            let _in_use = fs::remove_dir(&self.socket);
        }
    }

    /// With an empty environment: a stray PGDATA or PGOPTIONS would mislead PostgreSQL.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8").current_dir(self.postgres());
        run_as(&mut command, self.owner);
        command
    }
}

fn run_as(command: &mut Command, owner: Option<Owner>) {
    if let Some(Owner { uid, gid }) = owner {
        // The standard library drops root's other groups along with the user.
        command.uid(uid).gid(gid);
    }
}

fn state_of_user(folder: &Path) -> Result<PathBuf, DevError> {
    let state = folder.join(".postrider");
    match fs::canonicalize(&state) {
        Ok(found) => Ok(found),
        Err(_) => make_folder(&state, PRIVATE).map(|()| state),
    }
}

fn state_of_root(folder: &Path) -> Result<PathBuf, DevError> {
    let here = folder.join(".postrider");
    if let Ok(target) = fs::read_link(&here) {
        let target = folder.join(target);
        make_folder(&target, PASSAGE)?;
        return Ok(target);
    }
    if here.is_dir() || reaches(unprivileged()?, folder)? && fits(&here.join("postgres")) {
        make_folder(&here, PASSAGE)?;
        return Ok(here);
    }
    let elsewhere = Path::new(ELSEWHERE).join(short_hash(folder));
    make_folder(&elsewhere, PASSAGE)?;
    symlink(&elsewhere, &here).map_err(DevError::system("link", &here))?;
    Ok(elsewhere)
}

/// Tries it, because permissions, access lists and mounts all decide.
fn reaches(owner: Owner, folder: &Path) -> Result<bool, DevError> {
    let mut test = Command::new("test");
    test.arg("-x").arg(folder).current_dir("/");
    run_as(&mut test, Some(owner));
    Ok(test.status().map_err(DevError::system("try as another user", folder))?.success())
}

fn socket_folder(folder: &Path, postgres: PathBuf) -> PathBuf {
    if fits(&postgres) {
        return postgres;
    }
    let uid = rustix::process::geteuid().as_raw();
    std::env::temp_dir().join(format!("postrider-{uid}-{}", short_hash(folder)))
}

fn fits(socket_folder: &Path) -> bool {
    socket_folder.as_os_str().len() + 1 + SOCKET_NAME.len() <= MAX_SOCKET_PATH_BYTES
}

/// Sets the mode whatever the umask is; leaves an existing folder alone.
fn make_folder(path: &Path, mode: u32) -> Result<(), DevError> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.is_dir()) {
        make_folder(parent, 0o755)?;
    }
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(mode)).map_err(DevError::system("open up", path)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(DevError::system("make the folder", path)(error)),
    }
}

fn short_hash(folder: &Path) -> String {
    let hash = digest(&SHA256, folder.as_os_str().as_encoded_bytes());
    hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn unprivileged() -> Result<Owner, DevError> {
    const ACCOUNTS: &str = "/etc/passwd";
    let accounts = fs::read_to_string(ACCOUNTS).map_err(DevError::system("read", Path::new(ACCOUNTS)))?;
    account(&accounts, "postgres").or_else(|| account(&accounts, "nobody")).ok_or(DevError::NobodyToRunAs)
}

fn account(accounts: &str, name: &str) -> Option<Owner> {
    let mut fields = accounts.lines().map(|line| line.split(':')).find(|fields| fields.clone().next() == Some(name))?;
    let (uid, gid) = (fields.nth(2)?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(Owner { uid, gid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let accounts = "root:x:0:0::/:/bin/sh\npostgresql:x:7:7::/:\npostgres:x:101:104:administrator,,,:/:/bin/sh\n";
        assert_eq!(account(accounts, "postgres"), Some(Owner { uid: 101, gid: 104 }));
        assert_eq!(account(accounts, "nobody"), None);
    }

    #[test]
    fn a_socket_path_of_a_hundred_bytes_fits_and_a_longer_one_does_not() {
        let folder = |bytes: usize| PathBuf::from(format!("/{}", "x".repeat(bytes - 1)));
        assert!(fits(&folder(86)));
        assert!(!fits(&folder(87)));
    }
}
