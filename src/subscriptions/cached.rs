//! A copy in Redis: the row as JSON, sealed for its id. A writer to Redis without a master key can only delete copies
//! or restore old ones, and versions reveal those.

use crate::domain::id::SubscriptionId;
use crate::domain::keyring::{Keyring, SALT_BYTES};
use crate::store::StoredSubscription;

/// The salt must be random and never used before.
pub(super) fn encode(keyring: &Keyring, row: &StoredSubscription, salt: [u8; SALT_BYTES]) -> Vec<u8> {
    let text = serde_json::to_vec(row).expect("texts, numbers and booleans become JSON");
    keyring.seal_copy(&text, row.id, salt)
}

/// `None` if it was not sealed for this subscription.
pub(super) fn decode(keyring: &Keyring, id: SubscriptionId, bytes: &[u8]) -> Option<StoredSubscription> {
    let text = keyring.open_copy(bytes, id).ok()?;
    serde_json::from_slice(&text).ok().filter(|row: &StoredSubscription| row.id == id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use time::OffsetDateTime;

    use super::*;
    use crate::domain::id::TenantId;
    use crate::domain::metadata::Metadata;
    use crate::domain::policy::Policy;
    use crate::store::{SealedHeaders, SealedIngest, SealedOlder, SealedSecrets};

    const SALT: [u8; SALT_BYTES] = [9; SALT_BYTES];

    fn keyring() -> Keyring {
        Keyring::parse(&Keyring::entry("main", [3; 32])).unwrap()
    }

    fn row() -> StoredSubscription {
        let at = OffsetDateTime::from_unix_timestamp_nanos(1_790_000_000_123_456_000).unwrap();
        StoredSubscription {
            tenant: TenantId::at(at, uuid::Uuid::new_v4().into_bytes()),
            id: SubscriptionId::at(at, uuid::Uuid::new_v4().into_bytes()),
            version: 7,
            target_url: "https://example.com/hook".to_owned(),
            secrets: SealedSecrets {
                current: vec![1, 2, 255],
                older: vec![SealedOlder { sealed: vec![3], until: at }],
            },
            event_types: vec!["order.*".to_owned()],
            filter: Some(r#"{"a":1}"#.to_owned()),
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
            ingest: SealedIngest {
                rules: serde_json::from_str(r#"{"provider": "stripe", "content_types": ["text/xml"]}"#).unwrap(),
                secret: Some(vec![6, 255]),
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
        let stranger = SubscriptionId::at(row.created_at, uuid::Uuid::new_v4().into_bytes());
        assert!(decode(&keyring(), stranger, &encode(&keyring(), &row, SALT)).is_none());
    }

    #[test]
    fn a_document_with_other_fields_is_refused_even_from_a_holder_of_the_key() {
        let row = row();
        let mut document = serde_json::to_value(&row).unwrap();
        document["more"] = true.into();
        let with_another_field = serde_json::to_vec(&document).unwrap();
        let newer = keyring().seal_copy(&with_another_field, row.id, SALT);
        assert!(decode(&keyring(), row.id, &newer).is_none());
    }
}
