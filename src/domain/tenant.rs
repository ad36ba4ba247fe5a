//! A tenant: the owner of subscriptions, events and keys.

use std::fmt;
use std::str::FromStr;

use time::OffsetDateTime;

use super::external_id::{ExternalId, InvalidExternalId};
use super::id::TenantId;

/// Longest name of a tenant or of a key, in characters; the tables say the same.
pub const MAX_NAME_LENGTH: usize = 100;
pub const MAX_LIMIT: u32 = 1_000_000;
/// The tenant of requests that name none where no key is required.
pub const DEFAULT_TENANT: TenantId = TenantId::new(uuid::uuid!("00000000-0000-7000-8000-000000000000"));

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to {MAX_NAME_LENGTH} characters, not all of them blank, without control characters")]
pub struct InvalidName;

pub fn check_name(name: &str) -> Result<(), InvalidName> {
    let fits = (1..=MAX_NAME_LENGTH).contains(&name.chars().count());
    if fits && !name.trim().is_empty() && !name.chars().any(char::is_control) { Ok(()) } else { Err(InvalidName) }
}

/// The limits of a tenant's own; `None` is the instance's default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TenantLimits {
    pub max_subscriptions: Option<u32>,
    pub publish_per_second: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    pub id: TenantId,
    pub external_id: Option<ExternalId>,
    pub name: String,
    pub limits: TenantLimits,
    /// When an event type that checks payloads was last changed; `None`: none is known to.
    pub schemas_changed_at: Option<OffsetDateTime>,
}

/// An id and an external id are never confused.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TenantName {
    Id(TenantId),
    External(ExternalId),
}

impl FromStr for TenantName {
    type Err = InvalidExternalId;

    fn from_str(text: &str) -> Result<Self, InvalidExternalId> {
        match text.parse() {
            Ok(id) => Ok(Self::Id(id)),
            Err(_) => text.parse().map(Self::External),
        }
    }
}

impl fmt::Display for TenantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::External(id) => id.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_for_people_and_not_blank() {
        for name in ["Acme", " a ", "Ä", &"x".repeat(100)] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", " ", "\u{a0}\u{3000}", "a\nb", "a\0", &"x".repeat(101)] {
            assert_eq!(check_name(name), Err(InvalidName), "{name:?}");
        }
    }

    #[test]
    fn a_tenant_is_named_by_id_or_by_external_id() {
        let id = "0199c5f0-0000-7000-8000-000000000001";
        assert_eq!(id.parse::<TenantName>().unwrap(), TenantName::Id(id.parse().unwrap()));
        assert_eq!("acme".parse::<TenantName>().unwrap(), TenantName::External("acme".parse().unwrap()));
        for text in ["", "*", "a b", "0199c5f0000070008000000000000001"] {
            assert!(text.parse::<TenantName>().is_err(), "{text}");
        }
    }
}
