//! The shared secret that signs a subscription's deliveries.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub(crate) const MASK: &str = "********";
pub(crate) const PREFIX: &str = "whsec_";
/// Standard Webhooks requires 24 to 64 bytes.
pub(crate) const GENERATED_BYTES: usize = 32;

const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
const TEXT_BYTES: std::ops::RangeInclusive<usize> = 8..=256;

/// Why a text is not a secret. Messages never repeat it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    #[error("after 'whsec_' must stand canonical base64 of the standard alphabet, with padding")]
    NotBase64,
    #[error("after 'whsec_' must stand base64 of 24 to 64 bytes")]
    KeyLength,
    #[error("must be 8 to 256 bytes of UTF-8, or 'whsec_' and base64 of 24 to 64 bytes")]
    TextLength,
    #[error("must not contain control characters")]
    ControlCharacter,
    /// A mask that was sent back.
    #[error("is the mask of an answer; leave the field out to keep the secret")]
    Mask,
}

/// A valid secret. It is shown once, when it is set or generated.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    text: String,
    key: Vec<u8>,
}

impl Secret {
    /// Reads `whsec_` and a base64 key, or any other text as the key itself.
    pub fn parse(text: &str) -> Result<Self, InvalidSecret> {
        if text == MASK {
            return Err(InvalidSecret::Mask);
        }
        let key = match text.strip_prefix(PREFIX) {
            Some(encoded) => {
                let key = STANDARD.decode(encoded).map_err(|_| InvalidSecret::NotBase64)?;
                if !KEY_BYTES.contains(&key.len()) {
                    return Err(InvalidSecret::KeyLength);
                }
                key
            }
            None => {
                check_text(text)?;
                text.as_bytes().to_vec()
            }
        };
        Ok(Self { text: text.to_owned(), key })
    }

    /// A producer's secret: `whsec_` and a base64 key of any length, as Svix documents one of 18 bytes; or any other
    /// text as the key itself, as Stripe's, which begins with `whsec_` and need not be base64.
    pub(crate) fn of_producer(text: &str) -> Result<Self, InvalidSecret> {
        if text == MASK {
            return Err(InvalidSecret::Mask);
        }
        check_text(text)?;
        let decoded = text.strip_prefix(PREFIX).and_then(|encoded| STANDARD.decode(encoded).ok());
        let key = decoded.filter(|key| !key.is_empty()).unwrap_or_else(|| text.as_bytes().to_vec());
        Ok(Self { text: text.to_owned(), key })
    }

    /// Of a producer that signs with the bytes behind `whsec_`.
    pub(crate) fn of_standard_producer(text: &str) -> Result<Self, InvalidSecret> {
        let secret = Self::of_producer(text)?;
        let is_undecoded = text.starts_with(PREFIX) && secret.key == text.as_bytes();
        if is_undecoded { Err(InvalidSecret::NotBase64) } else { Ok(secret) }
    }

    /// A `whsec_` secret from random bytes.
    pub fn from_random(bytes: [u8; GENERATED_BYTES]) -> Self {
        Self { text: format!("{PREFIX}{}", STANDARD.encode(bytes)), key: bytes.to_vec() }
    }

    /// The text, for the one response that shows it and for sealing.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// Whether both sign alike, in whatever form they were given.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.key == other.key
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }
}

fn check_text(text: &str) -> Result<(), InvalidSecret> {
    if !TEXT_BYTES.contains(&text.len()) {
        return Err(InvalidSecret::TextLength);
    }
    if text.chars().any(char::is_control) { Err(InvalidSecret::ControlCharacter) } else { Ok(()) }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standard_secret_is_its_decoded_key() {
        let secret = Secret::parse("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD").unwrap();
        assert_eq!(secret.key().len(), 24);
        assert_eq!(secret.reveal(), "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
    }

    #[test]
    fn any_other_text_is_the_key_itself() {
        assert_eq!(Secret::parse("correct horse").unwrap().key(), b"correct horse");
    }

    #[test]
    fn a_generated_secret_reads_back() {
        let made = Secret::from_random([7; GENERATED_BYTES]);
        assert_eq!(Secret::parse(made.reveal()), Ok(made));
    }

    #[test]
    fn each_rule_has_its_refusal() {
        let cases = [
            ("whsec_c2hvcnQ=", InvalidSecret::KeyLength),
            ("whsec_", InvalidSecret::KeyLength),
            ("whsec_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_", InvalidSecret::NotBase64),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", InvalidSecret::NotBase64),
            ("", InvalidSecret::TextLength),
            ("short", InvalidSecret::TextLength),
            ("with a \0 inside", InvalidSecret::ControlCharacter),
            (MASK, InvalidSecret::Mask),
        ];
        for (text, refusal) in cases {
            assert_eq!(Secret::parse(text), Err(refusal), "{text}");
        }
    }

    #[test]
    fn a_secret_of_a_producer_is_what_it_shows() {
        let key = |text: &str| Secret::of_producer(text).unwrap().key().to_vec();
        assert_eq!(key("whsec_plJ3nmyCDGBKInavdOK15jsl").len(), 18);
        assert_eq!(key("whsec_4bQp9Zt7LmXc2VdRk8NwYsHf6JgTeUa1_"), b"whsec_4bQp9Zt7LmXc2VdRk8NwYsHf6JgTeUa1_");
        assert_eq!(Secret::of_producer(MASK), Err(InvalidSecret::Mask));
        assert_eq!(Secret::of_producer("short"), Err(InvalidSecret::TextLength));
        assert_eq!(Secret::of_standard_producer("whsec_no-base64"), Err(InvalidSecret::NotBase64));
        assert!(Secret::of_standard_producer("whsec_plJ3nmyCDGBKInavdOK15jsl").is_ok());
    }

    #[test]
    fn debug_output_shows_nothing() {
        let secret = Secret::parse("canary-canary-canary").unwrap();
        assert!(!format!("{secret:?}").contains("canary"));
    }
}
