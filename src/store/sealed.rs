//! Sealed secrets and headers as stored in a subscription's row.

use time::OffsetDateTime;
use tokio_postgres::Row;

use super::StoreError;

/// Sealed for tenant and subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSecrets {
    /// The current secret.
    pub current: Vec<u8>,
    /// Replaced ones that were live when the row was read, newest first.
    pub older: Vec<SealedOlder>,
}

/// A sealed secret that was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedOlder {
    /// The sealed bytes.
    pub sealed: Vec<u8>,
    /// Its end.
    pub until: OffsetDateTime,
}

impl From<Vec<u8>> for SealedSecrets {
    fn from(current: Vec<u8>) -> Self {
        Self { current, older: Vec::new() }
    }
}

/// Skips ended ones: their master key may be gone.
pub(super) fn secrets(row: &Row, looked_at: OffsetDateTime) -> Result<SealedSecrets, StoreError> {
    let older = older(row)?.into_iter().filter(|older| older.until > looked_at).collect();
    Ok(SealedSecrets { current: row.try_get("secret")?, older })
}

pub(super) fn older(row: &Row) -> Result<Vec<SealedOlder>, StoreError> {
    let sealed: Vec<Vec<u8>> = row.try_get("older_secrets")?;
    let until: Vec<OffsetDateTime> = row.try_get("older_until")?;
    Ok(sealed.into_iter().zip(until).map(|(sealed, until)| SealedOlder { sealed, until }).collect())
}

/// Sealed for tenant and subscription.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SealedHeaders {
    /// Shown in the API.
    pub(crate) names: Vec<String>,
    /// Shown in the API.
    pub(crate) auth_type: Option<String>,
    /// Names, values and authorization.
    pub(crate) sealed: Option<Vec<u8>>,
}

pub(super) fn headers(row: &Row) -> Result<SealedHeaders, StoreError> {
    Ok(SealedHeaders {
        names: row.try_get("header_names")?,
        auth_type: row.try_get("auth_type")?,
        sealed: row.try_get("sealed_headers")?,
    })
}
