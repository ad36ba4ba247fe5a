//! Finds the installed PostgreSQL programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::DevError;

const OLDEST: u32 = 15;
/// Debian and Ubuntu keep each major version here, outside PATH.
const DEBIAN: &str = "/usr/lib/postgresql";

#[derive(Debug, Clone)]
pub(super) struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    /// The version that created the data, else the newest.
    pub(super) fn find(data: &Path) -> Result<Self, DevError> {
        let installed = installed();
        let made_by = fs::read_to_string(data.join("PG_VERSION")).ok().and_then(|text| text.trim().parse().ok());
        let found = match made_by {
            Some(version) => installed.into_iter().find(|(each, _)| *each == version),
            None => installed.into_iter().filter(|(each, _)| *each >= OLDEST).max_by_key(|(each, _)| *each),
        };
        match (found, made_by) {
            (Some((_, folder)), _) => Ok(Self { folder }),
            (None, Some(version)) => Err(DevError::OtherVersion { data: data.to_owned(), version }),
            (None, None) => Err(DevError::NotInstalled(OLDEST)),
        }
    }

    pub(super) fn path(&self, program: &str) -> PathBuf {
        self.folder.join(program)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

fn installed() -> Vec<(u32, PathBuf)> {
    let entries = fs::read_dir(DEBIAN).into_iter().flatten().filter_map(Result::ok);
    let debian = entries.filter_map(|entry| {
        let version = entry.file_name().to_str()?.parse().ok()?;
        Some((version, entry.path().join("bin")))
    });
    // Client packages create a folder without a server in it.
    debian.chain(in_path()).filter(|(_, folder)| folder.join("initdb").is_file()).collect()
}

fn in_path() -> Option<(u32, PathBuf)> {
    let say = |what: &str| {
        let output = Command::new("pg_config").arg(what).output().ok().filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok()
    };
    let version = say("--version")?;
    let major = version.split_whitespace().nth(1)?.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((major.parse().ok()?, PathBuf::from(say("--bindir")?.trim())))
}
