//! Sealed secrets and headers as stored in a subscription's row.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio_postgres::Row;

use super::StoreError;
use crate::domain::ingest::IngestRules;

/// Sealed for tenant and subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedSecrets {
    #[serde(with = "base64_text")]
    pub current: Vec<u8>,
    /// Replaced ones that were live when the row was read, newest first.
    pub older: Vec<SealedOlder>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedOlder {
    #[serde(with = "base64_text")]
    pub sealed: Vec<u8>,
    #[serde(with = "time::serde::timestamp::microseconds")]
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedHeaders {
    pub(crate) names: Vec<String>,
    pub(crate) auth_type: Option<String>,
    /// Names, values and authorization.
    #[serde(with = "base64_text")]
    pub(crate) sealed: Option<Vec<u8>>,
}

pub(super) fn headers(row: &Row) -> Result<SealedHeaders, StoreError> {
    Ok(SealedHeaders {
        names: row.try_get("header_names")?,
        auth_type: row.try_get("auth_type")?,
        sealed: row.try_get("sealed_headers")?,
    })
}

/// What a subscription says of its producer, with its secret sealed for tenant and subscription.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedIngest {
    pub(crate) rules: Option<IngestRules>,
    #[serde(with = "base64_text")]
    pub(crate) secret: Option<Vec<u8>>,
}

impl SealedIngest {
    pub(crate) fn names_provider(&self) -> bool {
        self.rules.as_ref().is_some_and(|rules| rules.provider.is_some())
    }
}

pub(super) fn ingest(row: &Row) -> Result<SealedIngest, StoreError> {
    let text: Option<&str> = row.try_get("ingest")?;
    let unreadable = |_| StoreError::Unreadable("the ingest of a subscription".to_owned());
    let rules = text.map(serde_json::from_str).transpose().map_err(unreadable)?;
    Ok(SealedIngest { rules, secret: row.try_get("ingest_secret")? })
}

/// Bytes as base64: as an array of numbers JSON would take three times as much.
mod base64_text {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD_NO_PAD;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) trait Base64: Sized {
        type Text: Serialize + for<'a> Deserialize<'a>;
        fn encode(&self) -> Self::Text;
        fn decode(text: Self::Text) -> Result<Self, base64::DecodeError>;
    }

    impl Base64 for Vec<u8> {
        type Text = String;

        fn encode(&self) -> String {
            STANDARD_NO_PAD.encode(self)
        }

        fn decode(text: String) -> Result<Self, base64::DecodeError> {
            STANDARD_NO_PAD.decode(text)
        }
    }

    impl Base64 for Option<Vec<u8>> {
        type Text = Option<String>;

        fn encode(&self) -> Option<String> {
            self.as_ref().map(Base64::encode)
        }

        fn decode(text: Option<String>) -> Result<Self, base64::DecodeError> {
            text.map(Base64::decode).transpose()
        }
    }

    pub(super) fn serialize<B: Base64, S: Serializer>(bytes: &B, serializer: S) -> Result<S::Ok, S::Error> {
        bytes.encode().serialize(serializer)
    }

    pub(super) fn deserialize<'a, B: Base64, D: Deserializer<'a>>(deserializer: D) -> Result<B, D::Error> {
        B::decode(B::Text::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
