//! Allows one `postrider dev` per folder. The system releases the lock when its process dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use super::DevError;

#[derive(Debug)]
pub(super) struct DevLock {
    file: File,
}

impl DevLock {
    /// Writes the address into the lock file, for the message of a second process.
    pub(super) fn take(state: &Path, address: &str) -> Result<Self, DevError> {
        let path = state.join("dev.lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(DevError::system("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder).map_err(DevError::system("read", &path))?;
                return Err(DevError::Running(holder.trim().to_owned()));
            }
            Err(TryLockError::Error(source)) => return Err(DevError::system("lock", &path)(source)),
        }
        let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{address}"));
        written.map_err(DevError::system("write", &path))?;
        Ok(Self { file })
    }
}

impl Drop for DevLock {
    /// To close the file would not do: a child that another thread has just forked holds it too, until it runs its program.
    fn drop(&mut self) {
        let _closing_releases_it_too = self.file.unlock();
    }
}
