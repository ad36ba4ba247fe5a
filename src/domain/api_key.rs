//! API keys: `prk_<32 hex of its id>_<43 characters, base64url of 32 random bytes>`. Tokens of portal sessions have the
//! same form and begin with `prp_`, so that a scanner for leaked secrets tells them apart.
//! Only the SHA-256 of the random half is stored. No slow hash is needed, because nobody guesses 256 bits.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::{digest, hmac};
use uuid::Uuid;

use super::id::ApiKeyId;

pub const SECRET_BYTES: usize = 32;

const KEY_PREFIX: &str = "prk_";
const PORTAL_PREFIX: &str = "prp_";
const ID_DIGITS: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Admin,
    Publish,
    /// Read whatever a GET shows.
    Read,
    /// The same without payloads and response bodies, for support staff.
    Support,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be admin, publish, read or support")]
pub struct NotAScope;

impl Scope {
    pub const ALL: [Self; 4] = [Self::Admin, Self::Publish, Self::Read, Self::Support];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Publish => "publish",
            Self::Read => "read",
            Self::Support => "support",
        }
    }

    /// `admin` may do everything, `read` all that `support` may.
    pub fn allows(self, needed: Self) -> bool {
        self == Self::Admin || self == needed || (self == Self::Read && needed == Self::Support)
    }
}

impl FromStr for Scope {
    type Err = NotAScope;

    fn from_str(text: &str) -> Result<Self, NotAScope> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or(NotAScope)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not a key. It is never repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an API key")]
pub struct NotAnApiKey;

#[derive(Clone)]
pub struct ApiKey {
    prefix: &'static str,
    id: ApiKeyId,
    secret: [u8; SECRET_BYTES],
}

impl ApiKey {
    pub fn new(id: ApiKeyId, secret: [u8; SECRET_BYTES]) -> Self {
        Self { prefix: KEY_PREFIX, id, secret }
    }

    /// The token of a portal session.
    pub fn of_portal(id: ApiKeyId, secret: [u8; SECRET_BYTES]) -> Self {
        Self { prefix: PORTAL_PREFIX, id, secret }
    }

    /// Whether a text begins like the token of a portal session, right or wrong.
    pub fn is_of_portal(text: &str) -> bool {
        text.starts_with(PORTAL_PREFIX)
    }

    pub fn id(&self) -> ApiKeyId {
        self.id
    }

    /// The id in a text that begins like a key, right or wrong.
    pub fn id_in(text: &str) -> Option<ApiKeyId> {
        let (_, rest) = without_prefix(text)?;
        let id = rest.get(..ID_DIGITS)?;
        Uuid::try_parse(id).ok().map(ApiKeyId::from)
    }

    /// The text, shown once.
    pub fn reveal(&self) -> String {
        format!("{}{}_{}", self.prefix, self.id.uuid().simple(), URL_SAFE_NO_PAD.encode(self.secret))
    }

    pub fn hash(&self) -> KeyHash {
        KeyHash(digest::digest(&digest::SHA256, &self.secret).as_ref().to_vec())
    }
}

impl FromStr for ApiKey {
    type Err = NotAnApiKey;

    fn from_str(text: &str) -> Result<Self, NotAnApiKey> {
        let (prefix, rest) = without_prefix(text).ok_or(NotAnApiKey)?;
        let (id, secret) = rest.split_once('_').ok_or(NotAnApiKey)?;
        let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if id.len() != ID_DIGITS || !id.bytes().all(lower) {
            return Err(NotAnApiKey);
        }
        let id = Uuid::try_parse(id).map_err(|_| NotAnApiKey)?;
        let secret = URL_SAFE_NO_PAD.decode(secret).map_err(|_| NotAnApiKey)?;
        Ok(Self { prefix, id: id.into(), secret: secret.try_into().map_err(|_| NotAnApiKey)? })
    }
}

/// The prefix of a key or a token, and what follows it.
fn without_prefix(text: &str) -> Option<(&'static str, &str)> {
    [KEY_PREFIX, PORTAL_PREFIX].into_iter().find_map(|prefix| Some((prefix, text.strip_prefix(prefix)?)))
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({})", self.id)
    }
}

/// SHA-256 of a key's secret half. It has no `==`; [`Self::matches`] compares in constant time.
#[derive(Debug, Clone)]
pub struct KeyHash(Vec<u8>);

impl KeyHash {
    pub fn stored(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn matches(&self, other: &Self) -> bool {
        // Comparing two MACs under one key is ring's public way to compare in constant time.
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        hmac::verify(&key, &self.0, hmac::sign(&key, &other.0).as_ref()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_key_is_read_back_from_its_text(id in any::<u128>(), secret in any::<[u8; 32]>()) {
            let id = ApiKeyId::from(Uuid::from_u128(id));
            for (key, is_of_portal) in [(ApiKey::new(id, secret), false), (ApiKey::of_portal(id, secret), true)] {
                let read: ApiKey = key.reveal().parse().unwrap();
                prop_assert_eq!((read.id(), read.reveal()), (key.id(), key.reveal()));
                prop_assert!(read.hash().matches(&key.hash()));
                prop_assert_eq!(ApiKey::id_in(&key.reveal()[..40]), Some(key.id()));
                prop_assert_eq!(ApiKey::is_of_portal(&key.reveal()), is_of_portal);
            }
        }

        #[test]
        fn another_secret_does_not_match(secret in any::<[u8; 32]>(), at in 0_usize..32) {
            let mut other = secret;
            other[at] ^= 1;
            let id = ApiKeyId::from(Uuid::nil());
            prop_assert!(!ApiKey::new(id, secret).hash().matches(&ApiKey::new(id, other).hash()));
        }

        #[test]
        fn no_text_makes_the_parser_fail_otherwise(text in ".*") {
            let _ = (text.parse::<ApiKey>(), ApiKey::id_in(&text));
        }
    }

    #[test]
    fn only_admin_may_do_what_others_may() {
        assert!(Scope::Admin.allows(Scope::Publish) && Scope::Admin.allows(Scope::Read));
        assert!(!Scope::Read.allows(Scope::Publish) && !Scope::Publish.allows(Scope::Read));
        assert!(!Scope::Read.allows(Scope::Admin) && !Scope::Publish.allows(Scope::Admin));
    }
}
