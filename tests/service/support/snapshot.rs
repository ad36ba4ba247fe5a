//! Texts under version control that a test compares with what the code makes. With
//! `UPDATE_SNAPSHOTS=1` the test writes them instead.

use std::path::Path;

/// Compares with the file at `path`, from the root of the repository.
#[expect(clippy::disallowed_methods, reason = "tests have no settings of their own")]
pub(crate) fn assert_snapshot(path: &str, actual: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var("UPDATE_SNAPSHOTS").is_ok() {
        std::fs::write(&file, actual).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    let first = kept.lines().zip(actual.lines()).position(|(kept, actual)| kept != actual);
    assert!(
        kept == actual,
        "{path} differs from line {}; if that is meant, run the tests once with UPDATE_SNAPSHOTS=1 and commit it",
        first.unwrap_or_else(|| kept.lines().count().min(actual.lines().count())) + 1
    );
}
