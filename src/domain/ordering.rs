//! Ordering groups: deliveries of one subscription that go one after the other.

use std::str::FromStr;

use super::id::SubscriptionId;

/// Longest key, in characters.
pub const MAX_KEY_LENGTH: usize = 255;

/// Why a text is not an ordering key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {MAX_KEY_LENGTH} visible ASCII characters")]
pub struct InvalidOrderingKey;

/// A valid key: events that share it keep their order, where the subscription is ordered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderingKey(String);

impl OrderingKey {
    /// The key as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A key that was valid when it was stored.
    pub fn stored(text: String) -> Self {
        Self(text)
    }
}

impl FromStr for OrderingKey {
    type Err = InvalidOrderingKey;

    fn from_str(text: &str) -> Result<Self, InvalidOrderingKey> {
        let fits = (1..=MAX_KEY_LENGTH).contains(&text.len());
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits && visible { Ok(Self(text.to_owned())) } else { Err(InvalidOrderingKey) }
    }
}

/// The deliveries of a subscription that share an ordering key. The one accepted first is the
/// head; the others wait until it has ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderingGroup {
    /// Whose deliveries they are.
    pub subscription: SubscriptionId,
    /// What their events have in common.
    pub key: OrderingKey,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_visible_characters_up_to_255() {
        assert_eq!("customer-7".parse::<OrderingKey>().unwrap().as_str(), "customer-7");
        assert!("a".repeat(255).parse::<OrderingKey>().is_ok());
        for text in ["", "a b", "é", "a\n", &"a".repeat(256)] {
            assert_eq!(text.parse::<OrderingKey>(), Err(InvalidOrderingKey), "{text}");
        }
    }
}
