//! Idempotency keys mark two requests as the same.

use std::str::FromStr;

use ring::digest::{Context, SHA256};

use time::OffsetDateTime;

use super::event_type::EventType;
use super::id::SubscriptionId;
use super::ordering::OrderingKey;

pub(crate) const MAX_KEY_LENGTH: usize = 255;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {MAX_KEY_LENGTH} visible ASCII characters")]
pub struct InvalidIdempotencyKey;

/// A key, unique per tenant while its event is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// From the id that a producer gave its event. The blanks keep it apart from every key of a request.
    pub(crate) fn of_provider(provider: &str, subscription: SubscriptionId, id: &str) -> Self {
        Self(format!("{provider} {subscription} {id}"))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the producer's id alone says that two requests are the same: it repeats an event with another body.
    pub(crate) fn is_of_provider(&self) -> bool {
        self.0.contains(' ')
    }
}

impl FromStr for IdempotencyKey {
    type Err = InvalidIdempotencyKey;

    fn from_str(text: &str) -> Result<Self, InvalidIdempotencyKey> {
        let fits = (1..=MAX_KEY_LENGTH).contains(&text.len());
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits && visible { Ok(Self(text.to_owned())) } else { Err(InvalidIdempotencyKey) }
    }
}

/// Hash of everything that must be equal for a key to mean the same request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub fn of(
        route: &str,
        address: Option<SubscriptionId>,
        event_type: Option<&EventType>,
        [deliver_at, expires_at]: [Option<OffsetDateTime>; 2],
        payload: &[u8],
        ordering_key: Option<&OrderingKey>,
    ) -> Self {
        let address = address.map(SubscriptionId::uuid);
        let nanos = |at: Option<OffsetDateTime>| at.map(|at| at.unix_timestamp_nanos().to_be_bytes());
        let (deliver_at, expires_at) = (nanos(deliver_at), nanos(expires_at));
        Self::of_parts([
            route.as_bytes(),
            address.as_ref().map_or(b"", |id| id.as_bytes()),
            event_type.map_or(b"", |name| name.as_str().as_bytes()),
            deliver_at.as_ref().map_or(b"", |at| at),
            expires_at.as_ref().map_or(b"", |at| at),
            payload,
            ordering_key.map_or(b"", |key| key.as_str().as_bytes()),
        ])
    }

    /// A length before each part makes the encoding unambiguous.
    fn of_parts(parts: [&[u8]; 7]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_key_is_visible_characters_up_to_255() {
        assert!("a".repeat(255).parse::<IdempotencyKey>().is_ok());
        for text in ["", "a b", "é", "a\n", &"a".repeat(256)] {
            assert_eq!(text.parse::<IdempotencyKey>(), Err(InvalidIdempotencyKey), "{text}");
        }
    }

    #[test]
    fn each_part_of_the_request_counts() {
        let one = SubscriptionId::from(Uuid::from_u128(1));
        let name: EventType = "a.b".parse().unwrap();
        let key: OrderingKey = "k".parse().unwrap();
        let at = Some(OffsetDateTime::UNIX_EPOCH);
        let all = [
            Fingerprint::of("publish", None, None, [None, None], b"{}", None),
            Fingerprint::of("publish", Some(one), None, [None, None], b"{}", None),
            Fingerprint::of("publish", None, Some(&name), [None, None], b"{}", None),
            Fingerprint::of("publish", None, None, [at, None], b"{}", None),
            Fingerprint::of("publish", None, None, [None, at], b"{}", None),
            Fingerprint::of("publish", None, None, [None, None], b"{ }", None),
            Fingerprint::of("publish", None, None, [None, None], b"{}", Some(&key)),
            Fingerprint::of("ingest", Some(one), None, [None, None], b"{}", None),
        ];
        for (index, print) in all.iter().enumerate() {
            assert!(all.iter().skip(index + 1).all(|other| other != print), "{index}");
        }
        assert_eq!(all[0], Fingerprint::of("publish", None, None, [None, None], b"{}", None));
    }
}
