//! The secrets and the headers of a subscription as they stand in its row: sealed, the older
//! secrets with their ends, the headers with their names.

use time::OffsetDateTime;
use tokio_postgres::Row;

use super::StoreError;

/// The secrets of a subscription, sealed for its tenant and id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSecrets {
    /// The current one.
    pub current: Vec<u8>,
    /// Those that it replaced and that were live when the row was read, newest first.
    pub older: Vec<SealedOlder>,
}

/// A sealed secret that was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedOlder {
    /// What was sealed.
    pub sealed: Vec<u8>,
    /// When it ends.
    pub until: OffsetDateTime,
}

/// Without older ones.
impl From<Vec<u8>> for SealedSecrets {
    fn from(current: Vec<u8>) -> Self {
        Self { current, older: Vec::new() }
    }
}

/// The secrets in a row. Those that have ended are left out here: a master key that sealed
/// nothing else may be gone.
pub(super) fn secrets(row: &Row, looked_at: OffsetDateTime) -> Result<SealedSecrets, StoreError> {
    let older = older(row)?.into_iter().filter(|older| older.until > looked_at).collect();
    Ok(SealedSecrets { current: row.try_get("secret")?, older })
}

/// All older secrets in a row.
pub(super) fn older(row: &Row) -> Result<Vec<SealedOlder>, StoreError> {
    let sealed: Vec<Vec<u8>> = row.try_get("older_secrets")?;
    let until: Vec<OffsetDateTime> = row.try_get("older_until")?;
    Ok(sealed.into_iter().zip(until).map(|(sealed, until)| SealedOlder { sealed, until }).collect())
}

/// The headers of a subscription's requests, sealed for its tenant and id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SealedHeaders {
    /// Their names, to be seen.
    pub names: Vec<String>,
    /// The type of authorization, to be seen.
    pub auth_type: Option<String>,
    /// Names, values and authorization; `None` where there are none.
    pub sealed: Option<Vec<u8>>,
}

/// The headers in a row.
pub(super) fn headers(row: &Row) -> Result<SealedHeaders, StoreError> {
    Ok(SealedHeaders {
        names: row.try_get("header_names")?,
        auth_type: row.try_get("auth_type")?,
        sealed: row.try_get("sealed_headers")?,
    })
}
