//! Ordering groups: deliveries of one subscription that are sent one after the other.

use std::str::FromStr;

use super::id::SubscriptionId;

pub(crate) const MAX_KEY_LENGTH: usize = 255;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {MAX_KEY_LENGTH} visible ASCII characters")]
pub struct InvalidOrderingKey;

/// An ordered subscription receives events with the same key in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderingKey(String);

impl OrderingKey {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Skips the check: it was valid when it was stored.
    pub(crate) fn stored(text: String) -> Self {
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

/// The deliveries of a subscription with one ordering key. The oldest is the head; the others wait until it ends.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderingGroup {
    pub subscription: SubscriptionId,
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
