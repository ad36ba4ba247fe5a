//! Master keys, and the sealing of secrets at rest.
//!
//! A sealed secret is `1 | length of key id | key id | nonce | ciphertext | tag`
//! (AES-256-GCM). The place where it stands (tenant and subscription) is bound in as
//! associated data, so a ciphertext copied to another row does not open.
//! The keyring does not read settings and makes no nonces: both come in.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Prk, Salt};

use super::id::{SubscriptionId, TenantId};
use super::request_headers::RequestHeaders;
use super::secret::Secret;

/// Bytes of a nonce; each sealing needs a fresh random one.
pub const NONCE_BYTES: usize = NONCE_LEN;
/// Bytes of a master key.
pub const MASTER_KEY_BYTES: usize = 32;
/// Longest id of a master key, in bytes.
pub const MAX_KEY_ID_BYTES: usize = 32;

const FORMAT: u8 = 1;
/// Kinds of what is sealed, bound in after the place. A secret's is empty: it was first.
const SECRET: &[u8] = b"";
const HEADERS: &[u8] = b"headers";
/// Keeps what is derived from a master key apart from the key's own use.
const ENVELOPE_SALT: &[u8] = b"postrider envelope 1";

/// Why a list of master keys is refused. Key material is never repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeyring {
    /// The list has no entry.
    #[error("must list at least one key as id:base64 of 32 bytes")]
    Empty,
    /// An entry that is not `id:base64`.
    #[error("entry {0} must be id:base64, the id 1 to 32 of A-Z a-z 0-9 _ -")]
    Entry(usize),
    /// A key that is not 32 bytes of base64.
    #[error("the key of entry {0} must be base64 of exactly 32 bytes")]
    Key(usize),
    /// Two entries with one id.
    #[error("the id of entry {0} stands twice")]
    Duplicate(usize),
}

/// Why a sealed secret does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotOpen {
    /// Sealed with a key that is not in the ring.
    #[error("sealed with master key '{0}', which is not among POSTRIDER_MASTER_KEYS")]
    UnknownKey(String),
    /// Sealed with other bytes of the key, not bytes that this version seals, altered, or
    /// moved from another row.
    #[error(
        "the sealed secret does not open: the master key of its id has other bytes now, or it is damaged or belongs to another row"
    )]
    Damaged,
}

/// The row a sealed secret belongs to.
#[derive(Debug, Clone, Copy)]
pub struct SealContext {
    /// Owner of the subscription.
    pub tenant: TenantId,
    /// The subscription whose secret it is.
    pub subscription: SubscriptionId,
}

impl SealContext {
    /// Binds what is sealed to the row and to its kind: a secret moved to where headers stand
    /// does not open either.
    fn associated_data(self, kind: &[u8]) -> Vec<u8> {
        [self.tenant.uuid().as_bytes(), self.subscription.uuid().as_bytes(), kind].concat()
    }
}

/// The master keys by id: the first seals, all open.
pub struct Keyring {
    keys: Vec<MasterKey>,
}

/// One master key, ready for its two uses.
pub(super) struct MasterKey {
    pub(super) id: String,
    sealing: LessSafeKey,
    /// From which keys of single envelopes are derived.
    pub(super) deriving: Prk,
}

impl Keyring {
    /// Reads `id:base64,id:base64,…`.
    ///
    /// # Errors
    /// [`InvalidKeyring`] names the entry, counted from 1, and the rule.
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
            let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| InvalidKeyring::Key(position))?;
            if keys.iter().any(|known| known.id == id) {
                return Err(InvalidKeyring::Duplicate(position));
            }
            let deriving = Salt::new(HKDF_SHA256, ENVELOPE_SALT).extract(&bytes);
            keys.push(MasterKey { id: id.to_owned(), sealing: LessSafeKey::new(key), deriving });
        }
        if keys.is_empty() { Err(InvalidKeyring::Empty) } else { Ok(Self { keys }) }
    }

    /// The text form of one new key made of these random bytes.
    pub fn entry(id: &str, key: [u8; MASTER_KEY_BYTES]) -> String {
        format!("{id}:{}", STANDARD.encode(key))
    }

    /// Seals a secret for its place. The nonce must be random and never used before.
    pub fn seal(&self, secret: &Secret, place: SealContext, nonce: [u8; NONCE_BYTES]) -> Vec<u8> {
        self.seal_bytes(secret.reveal().as_bytes(), &place.associated_data(SECRET), nonce)
    }

    /// Seals headers for their place. The nonce must be random and never used before.
    pub fn seal_headers(&self, headers: &RequestHeaders, place: SealContext, nonce: [u8; NONCE_BYTES]) -> Vec<u8> {
        let text = serde_json::to_vec(headers).expect("texts become JSON");
        self.seal_bytes(&text, &place.associated_data(HEADERS), nonce)
    }

    fn seal_bytes(&self, content: &[u8], place: &[u8], nonce: [u8; NONCE_BYTES]) -> Vec<u8> {
        let MasterKey { id, sealing, .. } = self.first();
        let mut sealed = vec![FORMAT, u8::try_from(id.len()).expect("key ids are at most 32 bytes")];
        sealed.extend_from_slice(id.as_bytes());
        sealed.extend_from_slice(&nonce);
        let mut body = content.to_vec();
        sealing
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place), &mut body)
            .expect("AES-GCM seals anything shorter than 64 GiB");
        sealed.extend_from_slice(&body);
        sealed
    }

    /// Whether this is sealed with the key that seals now.
    pub fn is_first_of(&self, sealed: &[u8]) -> bool {
        let MasterKey { id, .. } = self.first();
        let front = [FORMAT, u8::try_from(id.len()).expect("key ids are at most 32 bytes")];
        sealed.strip_prefix(&front).is_some_and(|rest| rest.starts_with(id.as_bytes()))
    }

    /// Opens what [`Keyring::seal`] made for the same place.
    ///
    /// # Errors
    /// [`CannotOpen`] when the key is missing or the bytes are not what was sealed there.
    pub fn open(&self, sealed: &[u8], place: SealContext) -> Result<Secret, CannotOpen> {
        let text = self.open_bytes(sealed, &place.associated_data(SECRET))?;
        let text = std::str::from_utf8(&text).map_err(|_| CannotOpen::Damaged)?;
        Secret::parse(text).map_err(|_| CannotOpen::Damaged)
    }

    /// Opens what [`Keyring::seal_headers`] made for the same place.
    ///
    /// # Errors
    /// [`CannotOpen`] as [`Keyring::open`].
    pub fn open_headers(&self, sealed: &[u8], place: SealContext) -> Result<RequestHeaders, CannotOpen> {
        let text = self.open_bytes(sealed, &place.associated_data(HEADERS))?;
        serde_json::from_slice(&text).map_err(|_| CannotOpen::Damaged)
    }

    fn open_bytes(&self, sealed: &[u8], place: &[u8]) -> Result<Vec<u8>, CannotOpen> {
        let (format, rest) = sealed.split_first().ok_or(CannotOpen::Damaged)?;
        let (id_length, rest) = rest.split_first().ok_or(CannotOpen::Damaged)?;
        if *format != FORMAT {
            return Err(CannotOpen::Damaged);
        }
        let (id, rest) = rest.split_at_checked(usize::from(*id_length)).ok_or(CannotOpen::Damaged)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(CannotOpen::Damaged)?;
        let key = self.named(id).ok_or_else(|| CannotOpen::UnknownKey(String::from_utf8_lossy(id).into_owned()))?;
        let mut body = body.to_vec();
        let text = key
            .sealing
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(place), &mut body)
            .map_err(|_| CannotOpen::Damaged)?;
        Ok(text.to_vec())
    }

    /// Ids of the keys: the first seals.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.id.as_str())
    }

    pub(super) fn first(&self) -> &MasterKey {
        self.keys.first().expect("a parsed keyring has at least one key")
    }

    pub(super) fn named(&self, id: &[u8]) -> Option<&MasterKey> {
        self.keys.iter().find(|key| key.id.as_bytes() == id)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.id)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn ring(ids: &[&str]) -> Keyring {
        let entries: Vec<String> = ids.iter().map(|id| Keyring::entry(id, [id.len() as u8; 32])).collect();
        Keyring::parse(&entries.join(",")).unwrap()
    }

    fn place(n: u128) -> SealContext {
        SealContext { tenant: Uuid::from_u128(1).into(), subscription: Uuid::from_u128(n).into() }
    }

    #[test]
    fn what_is_sealed_opens_in_its_place_only() {
        let secret = Secret::from_random([9; 32]);
        let sealed = ring(&["a"]).seal(&secret, place(2), [3; 12]);
        assert_eq!(ring(&["a"]).open(&sealed, place(2)), Ok(secret.clone()));
        assert_eq!(ring(&["a"]).open(&sealed, place(3)), Err(CannotOpen::Damaged));
        assert!(!sealed.windows(8).any(|window| secret.reveal().as_bytes().starts_with(window)));
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let secret = Secret::from_random([9; 32]);
        let old = ring(&["old"]).seal(&secret, place(2), [3; 12]);
        let both = ring(&["newer", "old"]);
        assert_eq!(both.open(&old, place(2)), Ok(secret.clone()));
        let new = both.seal(&secret, place(2), [4; 12]);
        assert_eq!(ring(&["old"]).open(&new, place(2)), Err(CannotOpen::UnknownKey("newer".into())));
    }

    #[test]
    fn any_changed_byte_is_damage() {
        let sealed = ring(&["a"]).seal(&Secret::from_random([9; 32]), place(2), [3; 12]);
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(ring(&["a"]).open(&changed, place(2)).is_err(), "byte {index}");
            assert!(ring(&["a"]).open(&sealed[..index], place(2)).is_err(), "cut at {index}");
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
