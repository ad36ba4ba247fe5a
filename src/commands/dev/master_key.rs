//! The master key of a development folder, created once.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use ring::rand::{SecureRandom as _, SystemRandom};

use super::DevError;
use crate::domain::keyring::{Keyring, MASTER_KEY_BYTES};

pub(super) fn kept_in(state: &Path) -> Result<String, DevError> {
    let path = state.join("master.key");
    match fs::read_to_string(&path) {
        Ok(text) if Keyring::parse(text.trim()).is_ok() => Ok(text.trim().to_owned()),
        // Never replaced: only this key opens the secrets in the database.
        Ok(_) => Err(DevError::MasterKey { path }),
        Err(error) if error.kind() == ErrorKind::NotFound => make(&path),
        Err(error) => Err(DevError::system("read", &path)(error)),
    }
}

fn make(path: &Path) -> Result<String, DevError> {
    let mut key = [0; MASTER_KEY_BYTES];
    SystemRandom::new()
        .fill(&mut key)
        .map_err(|_| DevError::system("read random bytes for", path)(ErrorKind::Other.into()))?;
    let entry = Keyring::entry("dev", key);
    // Renamed when complete, so that a crash leaves no half-written key.
    let draft = path.with_extension("draft");
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| writeln!(file, "{entry}").and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&draft, path));
    written.map_err(DevError::system("write", path))?;
    Ok(entry)
}
