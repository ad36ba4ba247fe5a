//! Master keys, and what is sealed with them: secrets and headers at rest, copies in Redis.
//!
//! A seal is `1 | length of key id | key id | salt | ciphertext | tag`. Its AES-256-GCM key is derived from the first
//! master key (HKDF-SHA256) with its random salt and its context: it opens in no other row, and one master key may
//! make any number of seals.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use uuid::Uuid;

use super::id::{SubscriptionId, TenantId};
use super::request_headers::RequestHeaders;
use super::secret::Secret;

/// Bytes of a salt; each seal needs a fresh random one.
pub const SALT_BYTES: usize = 32;
pub const MASTER_KEY_BYTES: usize = 32;
pub const MAX_KEY_ID_BYTES: usize = 32;

const FORMAT: u8 = 1;
const SECRET: &[u8] = b"secret";
const HEADERS: &[u8] = b"headers";
const INGEST: &[u8] = b"ingest";
const COPY: &[u8] = b"copy";
/// Keeps derived keys apart from other uses of a master key.
const HKDF_SALT: &[u8] = b"postrider seal 1";

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeyring {
    #[error("must list at least one key as id:base64 of 32 bytes")]
    Empty,
    #[error("entry {0} must be id:base64, the id 1 to 32 of A-Z a-z 0-9 _ -")]
    Entry(usize),
    #[error("the key of entry {0} must be base64 of exactly 32 bytes")]
    Key(usize),
    #[error("the id of entry {0} stands twice")]
    Duplicate(usize),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotOpen {
    #[error("sealed with master key '{0}', which is not among POSTRIDER_MASTER_KEYS")]
    UnknownKey(String),
    /// Sealed with another key of this id, altered, or moved from another row.
    #[error(
        "the sealed secret does not open: the master key of its id has other bytes now, or it is damaged or belongs to another row"
    )]
    Damaged,
}

#[derive(Debug, Clone, Copy)]
pub struct SealContext {
    pub tenant: TenantId,
    pub subscription: SubscriptionId,
}

impl SealContext {
    /// Both ids have a fixed length, so no two contexts are the same bytes.
    fn bytes(self, kind: &[u8]) -> Vec<u8> {
        [self.tenant.uuid().as_bytes(), self.subscription.uuid().as_bytes(), kind].concat()
    }
}

/// A reader of a copy learns the tenant only from the copy.
fn copy_context(id: SubscriptionId) -> Vec<u8> {
    SealContext { tenant: TenantId::new(Uuid::nil()), subscription: id }.bytes(COPY)
}

/// The master keys by id: the first seals, all open.
pub struct Keyring {
    keys: Vec<MasterKey>,
}

struct MasterKey {
    id: String,
    deriving: Prk,
}

impl Keyring {
    pub fn parse(list: &str) -> Result<Self, InvalidKeyring> {
        let mut keys: Vec<MasterKey> = Vec::new();
        for (index, entry) in list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).enumerate() {
            let position = index + 1;
            let (id, encoded) = entry.split_once(':').ok_or(InvalidKeyring::Entry(position))?;
            let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if id.is_empty() || id.len() > MAX_KEY_ID_BYTES || !id.chars().all(legal) {
                return Err(InvalidKeyring::Entry(position));
            }
            let bytes = STANDARD.decode(encoded).map_err(|_| InvalidKeyring::Key(position))?;
            if bytes.len() != MASTER_KEY_BYTES {
                return Err(InvalidKeyring::Key(position));
            }
            if keys.iter().any(|known| known.id == id) {
                return Err(InvalidKeyring::Duplicate(position));
            }
            let deriving = Salt::new(HKDF_SHA256, HKDF_SALT).extract(&bytes);
            keys.push(MasterKey { id: id.to_owned(), deriving });
        }
        if keys.is_empty() { Err(InvalidKeyring::Empty) } else { Ok(Self { keys }) }
    }

    pub fn entry(id: &str, key: [u8; MASTER_KEY_BYTES]) -> String {
        format!("{id}:{}", STANDARD.encode(key))
    }

    /// Seals a secret for its row. The salt must be random and never used before.
    pub fn seal(&self, secret: &Secret, context: SealContext, salt: [u8; SALT_BYTES]) -> Vec<u8> {
        self.seal_bytes(secret.reveal().as_bytes(), &context.bytes(SECRET), salt)
    }

    pub fn seal_headers(&self, headers: &RequestHeaders, context: SealContext, salt: [u8; SALT_BYTES]) -> Vec<u8> {
        let text = serde_json::to_vec(headers).expect("texts become JSON");
        self.seal_bytes(&text, &context.bytes(HEADERS), salt)
    }

    pub fn seal_ingest(&self, secret: &Secret, context: SealContext, salt: [u8; SALT_BYTES]) -> Vec<u8> {
        self.seal_bytes(secret.reveal().as_bytes(), &context.bytes(INGEST), salt)
    }

    pub(crate) fn seal_copy(&self, copy: &[u8], id: SubscriptionId, salt: [u8; SALT_BYTES]) -> Vec<u8> {
        self.seal_bytes(copy, &copy_context(id), salt)
    }

    fn seal_bytes(&self, content: &[u8], context: &[u8], salt: [u8; SALT_BYTES]) -> Vec<u8> {
        let MasterKey { id, deriving } = self.first();
        let mut sealed = vec![FORMAT, u8::try_from(id.len()).expect("key ids are at most 32 bytes")];
        sealed.extend_from_slice(id.as_bytes());
        sealed.extend_from_slice(&salt);
        let mut body = content.to_vec();
        derived(deriving, context, &salt)
            .seal_in_place_append_tag(only_nonce(), Aad::empty(), &mut body)
            .expect("AES-GCM seals anything shorter than 64 GiB");
        sealed.append(&mut body);
        sealed
    }

    /// Whether this is sealed with the key that seals now.
    pub fn is_first_of(&self, sealed: &[u8]) -> bool {
        let MasterKey { id, .. } = self.first();
        let front = [FORMAT, u8::try_from(id.len()).expect("key ids are at most 32 bytes")];
        sealed.strip_prefix(&front).is_some_and(|rest| rest.starts_with(id.as_bytes()))
    }

    pub fn open(&self, sealed: &[u8], context: SealContext) -> Result<Secret, CannotOpen> {
        let text = self.open_bytes(sealed, &context.bytes(SECRET))?;
        let text = std::str::from_utf8(&text).map_err(|_| CannotOpen::Damaged)?;
        Secret::parse(text).map_err(|_| CannotOpen::Damaged)
    }

    pub fn open_headers(&self, sealed: &[u8], context: SealContext) -> Result<RequestHeaders, CannotOpen> {
        let text = self.open_bytes(sealed, &context.bytes(HEADERS))?;
        serde_json::from_slice(&text).map_err(|_| CannotOpen::Damaged)
    }

    pub fn open_ingest(&self, sealed: &[u8], context: SealContext) -> Result<Secret, CannotOpen> {
        let text = self.open_bytes(sealed, &context.bytes(INGEST))?;
        let text = std::str::from_utf8(&text).map_err(|_| CannotOpen::Damaged)?;
        Secret::of_producer(text).map_err(|_| CannotOpen::Damaged)
    }

    pub(crate) fn open_copy(&self, sealed: &[u8], id: SubscriptionId) -> Result<Vec<u8>, CannotOpen> {
        self.open_bytes(sealed, &copy_context(id))
    }

    fn open_bytes(&self, sealed: &[u8], context: &[u8]) -> Result<Vec<u8>, CannotOpen> {
        let (front, rest) = sealed.split_first_chunk::<2>().ok_or(CannotOpen::Damaged)?;
        let [FORMAT, id_length] = *front else { return Err(CannotOpen::Damaged) };
        let (id, rest) = rest.split_at_checked(usize::from(id_length)).ok_or(CannotOpen::Damaged)?;
        let (salt, body) = rest.split_first_chunk::<SALT_BYTES>().ok_or(CannotOpen::Damaged)?;
        let key = self.keys.iter().find(|key| key.id.as_bytes() == id);
        let key = key.ok_or_else(|| CannotOpen::UnknownKey(String::from_utf8_lossy(id).into_owned()))?;
        let mut body = body.to_vec();
        let opened = derived(&key.deriving, context, salt).open_in_place(only_nonce(), Aad::empty(), &mut body);
        opened.map(|content| content.to_vec()).map_err(|_| CannotOpen::Damaged)
    }

    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.id.as_str())
    }

    fn first(&self) -> &MasterKey {
        self.keys.first().expect("a parsed keyring has at least one key")
    }
}

fn derived(master: &Prk, context: &[u8], salt: &[u8; SALT_BYTES]) -> LessSafeKey {
    let info = [context, salt.as_slice()];
    let material = master.expand(&info, &AES_256_GCM).expect("a key is shorter than HKDF's longest output");
    LessSafeKey::new(UnboundKey::from(material))
}

/// Each derived key seals once.
fn only_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.id)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ring(ids: &[&str]) -> Keyring {
        let entries: Vec<String> = ids.iter().map(|id| Keyring::entry(id, [id.len() as u8; 32])).collect();
        Keyring::parse(&entries.join(",")).unwrap()
    }

    fn context(n: u128) -> SealContext {
        SealContext { tenant: Uuid::from_u128(1).into(), subscription: Uuid::from_u128(n).into() }
    }

    #[test]
    fn what_is_sealed_opens_in_its_place_only() {
        let secret = Secret::from_random([9; 32]);
        let sealed = ring(&["a"]).seal(&secret, context(2), [3; 32]);
        assert_eq!(ring(&["a"]).open(&sealed, context(2)), Ok(secret.clone()));
        assert_eq!(ring(&["a"]).open(&sealed, context(3)), Err(CannotOpen::Damaged));
        assert!(!sealed.windows(8).any(|window| secret.reveal().as_bytes().starts_with(window)));
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let secret = Secret::from_random([9; 32]);
        let old = ring(&["old"]).seal(&secret, context(2), [3; 32]);
        let both = ring(&["newer", "old"]);
        assert_eq!(both.open(&old, context(2)), Ok(secret.clone()));
        let new = both.seal(&secret, context(2), [4; 32]);
        assert_eq!(ring(&["old"]).open(&new, context(2)), Err(CannotOpen::UnknownKey("newer".into())));
    }

    #[test]
    fn any_changed_byte_is_damage() {
        let sealed = ring(&["a"]).seal(&Secret::from_random([9; 32]), context(2), [3; 32]);
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(ring(&["a"]).open(&changed, context(2)).is_err(), "byte {index}");
            assert!(ring(&["a"]).open(&sealed[..index], context(2)).is_err(), "cut at {index}");
        }
    }

    #[test]
    fn a_kind_does_not_open_as_another() {
        let (keyring, context) = (ring(&["a"]), context(2));
        let sealed = keyring.seal(&Secret::from_random([9; 32]), context, [3; 32]);
        assert_eq!(keyring.open_headers(&sealed, context).err(), Some(CannotOpen::Damaged));
        assert_eq!(keyring.open_copy(&sealed, context.subscription), Err(CannotOpen::Damaged));
    }

    proptest! {
        #[test]
        fn a_copy_opens_for_its_subscription_and_garbage_does_not(
            content in proptest::collection::vec(any::<u8>(), 0..300),
            salt in any::<[u8; SALT_BYTES]>(),
        ) {
            let (keyring, mine, other) = (ring(&["a"]), context(2).subscription, context(3).subscription);
            let sealed = keyring.seal_copy(&content, mine, salt);
            prop_assert_eq!(keyring.open_copy(&sealed, mine), Ok(content.clone()));
            prop_assert_eq!(keyring.open_copy(&sealed, other), Err(CannotOpen::Damaged));
            prop_assert!(keyring.open_copy(&content, mine).is_err());
        }
    }

    #[test]
    fn a_bad_list_names_the_entry() {
        let good = Keyring::entry("a", [1; 32]);
        assert_eq!(Keyring::parse("").err(), Some(InvalidKeyring::Empty));
        assert_eq!(Keyring::parse("nokey").err(), Some(InvalidKeyring::Entry(1)));
        assert_eq!(Keyring::parse(&format!("{good},b:c2hvcnQ=")).err(), Some(InvalidKeyring::Key(2)));
        assert_eq!(Keyring::parse(&format!("{good},{good}")).err(), Some(InvalidKeyring::Duplicate(2)));
    }
}
