//! Temporary folders.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use uuid::Uuid;

/// A temporary folder that is gone, with all it linked to, when this value is.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    /// An empty one, which everybody may enter.
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("postrider-folder-{}", Uuid::new_v4().simple()));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }

    /// Where `dev` keeps its data.
    pub(crate) fn state(&self) -> PathBuf {
        self.0.join(".postrider")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::read_link(self.state()).map(fs::remove_dir_all);
        let _ = fs::remove_dir_all(&self.0);
    }
}
