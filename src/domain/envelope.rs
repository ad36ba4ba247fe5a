//! Bytes on their way through a place that nobody trusts: sealed whole, so that whoever
//! holds the place can neither read nor write them, only lose them or bring old ones back.
//!
//! An envelope is `1 | length of key id | key id | salt | ciphertext | tag`. Each has a key
//! of its own, derived from the first master key, its random salt and a label (HKDF-SHA256,
//! then AES-256-GCM), so there is no bound on how many are made. The label says what the
//! bytes are and whom they belong to: an envelope does not open under another one.
//! Makes no random bytes: the salt comes in.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::Prk;

use super::keyring::Keyring;

/// Bytes of a salt; each envelope needs a fresh random one.
pub const SALT_BYTES: usize = 32;

const FORMAT: u8 = 1;

impl Keyring {
    /// Seals these bytes under this label. The salt must be random and never used before.
    pub fn enclose(&self, content: &[u8], label: &[u8], salt: [u8; SALT_BYTES]) -> Vec<u8> {
        let master = self.first();
        let mut sealed = vec![FORMAT, u8::try_from(master.id.len()).expect("key ids are at most 32 bytes")];
        sealed.extend_from_slice(master.id.as_bytes());
        sealed.extend_from_slice(&salt);
        let mut body = content.to_vec();
        derived(&master.deriving, label, &salt)
            .seal_in_place_append_tag(only_nonce(), Aad::empty(), &mut body)
            .expect("AES-GCM seals anything shorter than 64 GiB");
        sealed.append(&mut body);
        sealed
    }

    /// Opens what [`Keyring::enclose`] made under the same label; `None` for anything else.
    pub fn disclose(&self, sealed: &[u8], label: &[u8]) -> Option<Vec<u8>> {
        let (format, rest) = sealed.split_first()?;
        let (id_length, rest) = rest.split_first()?;
        let (id, rest) = rest.split_at_checked(usize::from(*id_length))?;
        let (salt, body) = rest.split_first_chunk::<SALT_BYTES>()?;
        let master = self.named(id).filter(|_| *format == FORMAT)?;
        let mut body = body.to_vec();
        let content =
            derived(&master.deriving, label, salt).open_in_place(only_nonce(), Aad::empty(), &mut body).ok()?;
        Some(content.to_vec())
    }
}

fn derived(master: &Prk, label: &[u8], salt: &[u8; SALT_BYTES]) -> LessSafeKey {
    let info = [label, salt.as_slice()];
    let material = master.expand(&info, &AES_256_GCM).expect("a key is shorter than HKDF's longest output");
    LessSafeKey::new(UnboundKey::from(material))
}

/// The one nonce of a key that seals once.
fn only_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ring(ids: &[&str]) -> Keyring {
        let entries: Vec<_> = ids.iter().map(|id| Keyring::entry(id, [id.len() as u8; 32])).collect();
        Keyring::parse(&entries.join(",")).unwrap()
    }

    proptest! {
        #[test]
        fn whatever_is_enclosed_comes_out_under_its_label_only(
            content in proptest::collection::vec(any::<u8>(), 0..300),
            salt in any::<[u8; SALT_BYTES]>(),
        ) {
            let sealed = ring(&["a"]).enclose(&content, b"for you", salt);
            prop_assert_eq!(ring(&["a"]).disclose(&sealed, b"for you"), Some(content));
            prop_assert_eq!(ring(&["a"]).disclose(&sealed, b"for me"), None);
        }

        #[test]
        fn no_byte_can_be_changed(position in any::<prop::sample::Index>(), change in 1..=255_u8) {
            let mut sealed = ring(&["a"]).enclose(b"content", b"label", [7; SALT_BYTES]);
            let position = position.index(sealed.len());
            sealed[position] ^= change;
            prop_assert_eq!(ring(&["a"]).disclose(&sealed, b"label"), None);
        }

        #[test]
        fn garbage_does_not_open(garbage in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(ring(&["a"]).disclose(&garbage, b"label"), None);
        }
    }

    #[test]
    fn an_older_key_of_the_ring_still_opens_and_a_stranger_does_not() {
        let sealed = ring(&["old"]).enclose(b"content", b"label", [1; SALT_BYTES]);
        assert_eq!(ring(&["newer", "old"]).disclose(&sealed, b"label").as_deref(), Some(b"content".as_slice()));
        assert_eq!(ring(&["newer"]).disclose(&sealed, b"label"), None);
    }

    #[test]
    fn nothing_of_the_content_shows() {
        let sealed = ring(&["a"]).enclose(b"whsec_and_more", b"label", [1; SALT_BYTES]);
        assert!(!sealed.windows(5).any(|window| window == b"whsec"));
    }
}
