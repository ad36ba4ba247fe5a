//! What a caller may do: the scope of a key or the capabilities of a portal session, and what an operation needs.

use std::fmt;
use std::str::FromStr;

use super::api_key::Scope;

/// What the holder of a portal session may do with what belongs to its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// Look at subscriptions, events, deliveries, attempts and numbers.
    Read,
    /// Change subscriptions, and send again.
    Manage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be read or manage")]
pub struct NotACapability;

impl Capability {
    pub const ALL: [Self; 2] = [Self::Read, Self::Manage];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Manage => "manage",
        }
    }
}

impl FromStr for Capability {
    type Err = NotACapability;

    fn from_str(text: &str) -> Result<Self, NotACapability> {
        Self::ALL.into_iter().find(|capability| capability.as_str() == text).ok_or(NotACapability)
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set. One capability contains no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    read: bool,
    manage: bool,
}

impl Capabilities {
    pub fn contain(self, capability: Capability) -> bool {
        match capability {
            Capability::Read => self.read,
            Capability::Manage => self.manage,
        }
    }

    /// Each once, in one order.
    pub fn words(self) -> Vec<&'static str> {
        Capability::ALL.into_iter().filter(|capability| self.contain(*capability)).map(Capability::as_str).collect()
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(all: I) -> Self {
        let mut set = Self::default();
        for capability in all {
            match capability {
                Capability::Read => set.read = true,
                Capability::Manage => set.manage = true,
            }
        }
        set
    }
}

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    Key(Scope),
    Portal(Capabilities),
}

/// What an operation needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Any key or portal session.
    Nothing,
    /// A key with this scope, or a portal session with this capability; `None` for no portal session.
    Either(Scope, Option<Capability>),
}

impl Grant {
    pub fn meets(self, need: Need) -> bool {
        match (self, need) {
            (_, Need::Nothing) => true,
            (Self::Key(scope), Need::Either(needed, _)) => scope.allows(needed),
            (Self::Portal(capabilities), Need::Either(_, needed)) => {
                needed.is_some_and(|one| capabilities.contain(one))
            }
        }
    }

    /// Whether it shows payloads and bodies of responses. A portal shows a customer what the customer was sent.
    pub fn shows_bodies(self) -> bool {
        match self {
            Self::Key(scope) => scope.allows(Scope::Read),
            Self::Portal(_) => true,
        }
    }

    pub fn is_portal(self) -> bool {
        matches!(self, Self::Portal(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_does_what_its_capabilities_say_and_nothing_that_only_keys_may() {
        let portal = |all: &[Capability]| Grant::Portal(all.iter().copied().collect());
        let manages = Need::Either(Scope::Admin, Some(Capability::Manage));
        let (reads, keys_only) =
            (Need::Either(Scope::Support, Some(Capability::Read)), Need::Either(Scope::Read, None));
        assert!(portal(&[Capability::Manage]).meets(manages) && !portal(&[Capability::Read]).meets(manages));
        assert!(portal(&[Capability::Read]).meets(reads) && !portal(&[Capability::Manage]).meets(reads));
        assert!(!portal(&Capability::ALL).meets(keys_only) && Grant::Key(Scope::Read).meets(keys_only));
        assert!(portal(&[]).meets(Need::Nothing) && Grant::Key(Scope::Publish).meets(Need::Nothing));
        assert!(!Grant::Key(Scope::Read).meets(manages));
    }

    #[test]
    fn capabilities_are_a_set() {
        let all: Capabilities = [Capability::Manage, Capability::Read, Capability::Manage].into_iter().collect();
        assert_eq!(all.words(), ["read", "manage"]);
        assert_eq!("write".parse::<Capability>(), Err(NotACapability));
    }
}
