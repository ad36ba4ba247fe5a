//! What a copy in Redis looks like, and why it can be read without believing Redis.
//!
//! The row, its secrets still sealed as in PostgreSQL, sealed once more as a whole under the
//! id it is for. Whoever writes into Redis can therefore lose copies or bring old ones
//! back, and old ones are found out by their version; they cannot make one.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::domain::backoff::RetrySchedule;
use crate::domain::envelope::SALT_BYTES;
use crate::domain::external_id::ExternalId;
use crate::domain::id::{SubscriptionId, TenantId};
use crate::domain::keyring::Keyring;
use crate::domain::metadata::Metadata;
use crate::domain::policy::Policy;
use crate::store::{SealedHeaders, SealedOlder, SealedSecrets, StoredSubscription};

/// Says what is in the envelope, before the id of whom it is for.
const LABEL: &[u8] = b"subscription 3 ";
const NANOS_PER_MICRO: i128 = 1_000;

/// The row as it travels: every field, none unknown.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Copy {
    tenant: uuid::Uuid,
    id: uuid::Uuid,
    version: i64,
    target_url: String,
    sealed_secret: String,
    older_secrets: Vec<Older>,
    event_types: Vec<String>,
    description: Option<String>,
    is_active: bool,
    disabled_reason: Option<String>,
    verify_ingest: bool,
    external_id: Option<String>,
    header_names: Vec<String>,
    auth_type: Option<String>,
    sealed_headers: Option<String>,
    metadata: BTreeMap<String, String>,
    policy: PolicyCopy,
    created_at_micros: i64,
    updated_at_micros: i64,
}

/// A policy as it travels.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyCopy {
    retry_schedule: Option<String>,
    request_timeout_ms: Option<u64>,
    rate_limit: Option<u32>,
    max_in_flight: Option<u32>,
    is_ordered: bool,
    skip_after_attempts: Option<u32>,
}

impl PolicyCopy {
    fn of(policy: &Policy) -> Self {
        Self {
            retry_schedule: policy.retry_schedule.as_ref().map(ToString::to_string),
            request_timeout_ms: policy
                .request_timeout
                .map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)),
            rate_limit: policy.rate_limit,
            max_in_flight: policy.max_in_flight,
            is_ordered: policy.is_ordered,
            skip_after_attempts: policy.skip_after_attempts,
        }
    }

    fn back(self) -> Option<Policy> {
        Some(Policy {
            retry_schedule: match self.retry_schedule {
                Some(text) => Some(RetrySchedule::stored(&text)?),
                None => None,
            },
            request_timeout: self.request_timeout_ms.map(Duration::from_millis),
            rate_limit: self.rate_limit,
            max_in_flight: self.max_in_flight,
            is_ordered: self.is_ordered,
            skip_after_attempts: self.skip_after_attempts,
        })
    }
}

/// A secret that was replaced, and its end.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Older {
    sealed: String,
    until_micros: i64,
}

impl Older {
    fn of(older: &SealedOlder) -> Self {
        Self { sealed: STANDARD_NO_PAD.encode(&older.sealed), until_micros: micros(older.until) }
    }

    fn back(&self) -> Option<SealedOlder> {
        Some(SealedOlder { sealed: STANDARD_NO_PAD.decode(&self.sealed).ok()?, until: moment(self.until_micros)? })
    }
}

/// The row, sealed for Redis. The salt must be random and never used before.
pub(super) fn encode(keyring: &Keyring, row: &StoredSubscription, salt: [u8; SALT_BYTES]) -> Vec<u8> {
    let copy = Copy {
        tenant: row.tenant.uuid(),
        id: row.id.uuid(),
        version: row.version,
        target_url: row.target_url.clone(),
        sealed_secret: STANDARD_NO_PAD.encode(&row.secrets.current),
        older_secrets: row.secrets.older.iter().map(Older::of).collect(),
        event_types: row.event_types.clone(),
        description: row.description.clone(),
        is_active: row.is_active,
        disabled_reason: row.disabled_reason.clone(),
        verify_ingest: row.verify_ingest,
        external_id: row.external_id.as_ref().map(ToString::to_string),
        header_names: row.headers.names.clone(),
        auth_type: row.headers.auth_type.clone(),
        sealed_headers: row.headers.sealed.as_ref().map(|sealed| STANDARD_NO_PAD.encode(sealed)),
        metadata: row.metadata.entries().clone(),
        policy: PolicyCopy::of(&row.policy),
        created_at_micros: micros(row.created_at),
        updated_at_micros: micros(row.updated_at),
    };
    let text = serde_json::to_vec(&copy).expect("texts, numbers and booleans become JSON");
    keyring.enclose(&text, &label(row.id), salt)
}

/// The row of this subscription; `None` for anything that was not sealed for it.
pub(super) fn decode(keyring: &Keyring, id: SubscriptionId, bytes: &[u8]) -> Option<StoredSubscription> {
    let text = keyring.disclose(bytes, &label(id))?;
    let copy: Copy = serde_json::from_slice(&text).ok()?;
    Some(StoredSubscription {
        tenant: TenantId::from(copy.tenant),
        id: SubscriptionId::from(copy.id),
        version: copy.version,
        target_url: copy.target_url,
        secrets: SealedSecrets {
            current: STANDARD_NO_PAD.decode(copy.sealed_secret).ok()?,
            older: copy.older_secrets.iter().map(Older::back).collect::<Option<_>>()?,
        },
        event_types: copy.event_types,
        description: copy.description,
        is_active: copy.is_active,
        disabled_reason: copy.disabled_reason,
        verify_ingest: copy.verify_ingest,
        external_id: copy.external_id.map(ExternalId::stored),
        headers: SealedHeaders {
            names: copy.header_names,
            auth_type: copy.auth_type,
            sealed: copy.sealed_headers.map(|sealed| STANDARD_NO_PAD.decode(sealed)).transpose().ok()?,
        },
        metadata: Metadata::stored(copy.metadata),
        policy: copy.policy.back()?,
        created_at: moment(copy.created_at_micros)?,
        updated_at: moment(copy.updated_at_micros)?,
    })
    .filter(|row| row.id == id)
}

fn label(id: SubscriptionId) -> Vec<u8> {
    [LABEL, id.uuid().as_bytes().as_slice()].concat()
}

/// PostgreSQL keeps microseconds, so nothing is lost.
fn micros(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / NANOS_PER_MICRO).unwrap_or(i64::MAX)
}

fn moment(micros: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * NANOS_PER_MICRO).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: [u8; SALT_BYTES] = [9; SALT_BYTES];

    fn keyring() -> Keyring {
        Keyring::parse(&Keyring::entry("main", [3; 32])).unwrap()
    }

    fn row() -> StoredSubscription {
        let at = OffsetDateTime::from_unix_timestamp_nanos(1_790_000_000_123_456_000).unwrap();
        StoredSubscription {
            tenant: TenantId::at(at),
            id: SubscriptionId::at(at),
            version: 7,
            target_url: "https://example.com/hook".to_owned(),
            secrets: SealedSecrets {
                current: vec![1, 2, 255],
                older: vec![SealedOlder { sealed: vec![3], until: at }],
            },
            event_types: vec!["order.*".to_owned()],
            description: Some("orders".to_owned()),
            is_active: false,
            disabled_reason: Some("gone".to_owned()),
            verify_ingest: true,
            external_id: "shop-7".parse().ok(),
            headers: SealedHeaders {
                names: vec!["x-api-key".to_owned()],
                auth_type: Some("basic".to_owned()),
                sealed: Some(vec![4, 5, 255]),
            },
            metadata: Metadata::stored(BTreeMap::from([("team".to_owned(), "orders".to_owned())])),
            policy: Policy {
                retry_schedule: "5s,1m".parse().ok(),
                request_timeout: Some(Duration::from_secs(20)),
                rate_limit: Some(10),
                max_in_flight: Some(5),
                is_ordered: true,
                skip_after_attempts: Some(3),
            },
            created_at: at,
            updated_at: at,
        }
    }

    #[test]
    fn a_row_comes_back_as_it_was() {
        let row = row();
        let back = decode(&keyring(), row.id, &encode(&keyring(), &row, SALT)).unwrap();
        assert_eq!(format!("{back:?}"), format!("{row:?}"));
    }

    #[test]
    fn a_copy_put_under_another_id_is_no_copy_of_that() {
        let row = row();
        let stranger = SubscriptionId::at(row.created_at);
        assert!(decode(&keyring(), stranger, &encode(&keyring(), &row, SALT)).is_none());
    }

    #[test]
    fn a_document_with_other_fields_is_refused_even_from_a_holder_of_the_key() {
        let row = row();
        let newer = keyring().enclose(br#"{"version":1,"more":true}"#, &label(row.id), SALT);
        assert!(decode(&keyring(), row.id, &newer).is_none());
    }
}
