//! External ids: the customer's own name for a subscription. Accepted wherever its id is.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use super::id::SubscriptionId;

pub(crate) const MAX_LENGTH: usize = 255;

/// Path segments with another meaning.
const RESERVED: [&str; 4] = [".", "..", "generate-signature", "filter-test"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidExternalId {
    #[error("must be 1 to {MAX_LENGTH} of A-Z a-z 0-9 _ . : -")]
    Form,
    /// Could be the id of another subscription.
    #[error("must not have the form of a UUID")]
    Uuid,
    #[error("must not be '.', '..', 'generate-signature' or 'filter-test', which paths give another meaning")]
    Reserved,
}

/// An external id, unique per tenant among live subscriptions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct ExternalId(String);

impl ExternalId {
    /// Skips the check: it was valid when it was stored.
    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ExternalId {
    type Err = InvalidExternalId;

    fn from_str(text: &str) -> Result<Self, InvalidExternalId> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
        if !(1..=MAX_LENGTH).contains(&text.len()) || !text.bytes().all(legal) {
            return Err(InvalidExternalId::Form);
        }
        if Uuid::try_parse(text).is_ok() {
            return Err(InvalidExternalId::Uuid);
        }
        if RESERVED.contains(&text) {
            return Err(InvalidExternalId::Reserved);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ExternalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum SubscriptionName {
    Id(SubscriptionId),
    External(ExternalId),
}

impl fmt::Display for SubscriptionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::External(name) => name.fmt(f),
        }
    }
}

impl FromStr for SubscriptionName {
    type Err = InvalidExternalId;

    fn from_str(text: &str) -> Result<Self, InvalidExternalId> {
        match text.parse() {
            Ok(id) => Ok(Self::Id(id)),
            Err(_) => text.parse().map(Self::External),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_ones_own_is_taken_as_it_is() {
        for text in ["a", "shop-7", "crm:orders.v2", "0", "A_B", &"x".repeat(255)] {
            assert_eq!(text.parse::<ExternalId>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn each_rule_has_its_refusal() {
        let cases = [
            ("", InvalidExternalId::Form),
            ("a b", InvalidExternalId::Form),
            ("a/b", InvalidExternalId::Form),
            ("ä", InvalidExternalId::Form),
            ("a\r\nb", InvalidExternalId::Form),
            (&"x".repeat(256), InvalidExternalId::Form),
            ("0199C5F0-0000-7000-8000-000000000001", InvalidExternalId::Uuid),
            ("0199c5f0000070008000000000000001", InvalidExternalId::Uuid),
            ("urn:uuid:0199c5f0-0000-7000-8000-000000000001", InvalidExternalId::Uuid),
            ("..", InvalidExternalId::Reserved),
            ("generate-signature", InvalidExternalId::Reserved),
            ("filter-test", InvalidExternalId::Reserved),
        ];
        for (text, refusal) in cases {
            assert_eq!(text.parse::<ExternalId>(), Err(refusal), "{text}");
        }
    }

    #[test]
    fn a_path_names_by_id_or_by_external_id() {
        let id = "0199c5f0-0000-7000-8000-000000000001";
        assert_eq!(id.parse::<SubscriptionName>().unwrap(), SubscriptionName::Id(id.parse().unwrap()));
        assert_eq!("shop".parse::<SubscriptionName>().unwrap(), SubscriptionName::External("shop".parse().unwrap()));
        assert!("0199c5f0000070008000000000000001".parse::<SubscriptionName>().is_err());
    }
}
