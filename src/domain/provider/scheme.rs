//! How a request is signed, as data, and the one place that verifies it.
//!
//! Verifying costs one HMAC over the body for each live secret, however many signatures a request lists.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::ProducerHeaders;
use crate::domain::secret::Secret;
use crate::domain::signature::{InvalidSignature, MAC_BYTES, TOLERANCE_SECONDS, mac};

/// A producer that rotates its secret lists two signatures; 16 leave room for more.
pub(crate) const MAX_ENTRIES: usize = 16;

/// A signature over parts of the request, or the secret itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scheme<'a> {
    /// Of the signature, in lower case.
    pub(crate) header: &'a str,
    /// Before each signature.
    pub(crate) prefix: &'a str,
    pub(crate) encoding: Encoding,
    /// Of a list of signatures, one of which has to fit; entries without the prefix are passed over.
    pub(crate) separator: Option<char>,
    /// Header of the id that is signed.
    pub(crate) id: Option<&'a str>,
    pub(crate) timestamp: Option<Timestamp<'a>>,
    pub(crate) signed: &'a [Part<'a>],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Encoding {
    Hex,
    Base64,
    /// The header holds the secret, not a signature.
    SecretItself,
}

/// Where the time of signing stands, in Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timestamp<'a> {
    Header(&'a str),
    /// An entry of the list of signatures, with this prefix.
    Entry(&'a str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    Text(&'a str),
    Id,
    Timestamp,
    Body,
}

/// What of a secret is the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyForm {
    /// The text as it is.
    Text,
    /// The bytes behind `whsec_`; another text as it is.
    Standard,
}

/// What a request claims, before a secret is tried.
struct Claim<'h> {
    macs: Vec<[u8; MAC_BYTES]>,
    id: &'h str,
    timestamp: &'h str,
}

impl KeyForm {
    fn key(self, secret: &Secret) -> &[u8] {
        match self {
            Self::Text => secret.reveal().as_bytes(),
            Self::Standard => secret.key(),
        }
    }
}

impl Encoding {
    fn decode(self, text: &str) -> Option<[u8; MAC_BYTES]> {
        match self {
            Self::Hex => decode_hex(text),
            Self::Base64 => STANDARD.decode(text).ok()?.try_into().ok(),
            Self::SecretItself => None,
        }
    }
}

impl<'a> Scheme<'a> {
    pub(crate) fn header_names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let timestamp = self.timestamp.and_then(|timestamp| match timestamp {
            Timestamp::Header(name) => Some(name),
            Timestamp::Entry(_) => None,
        });
        [Some(self.header), self.id, timestamp].into_iter().flatten()
    }

    /// Tries each secret.
    pub(crate) fn verify<'s>(
        &self,
        headers: &ProducerHeaders,
        secrets: impl IntoIterator<Item = &'s Secret>,
        form: KeyForm,
        body: &[u8],
        now_unix: i64,
    ) -> Result<(), InvalidSignature> {
        let keys = secrets.into_iter().map(|secret| form.key(secret));
        self.verify_by(headers, keys, body, now_unix, mac)
    }

    /// With `mac` as an argument, so that a test can count.
    fn verify_by<'s>(
        &self,
        headers: &ProducerHeaders,
        keys: impl IntoIterator<Item = &'s [u8]>,
        body: &[u8],
        now_unix: i64,
        mut mac: impl FnMut(&[u8], &[&[u8]]) -> [u8; MAC_BYTES],
    ) -> Result<(), InvalidSignature> {
        let mut keys = keys.into_iter();
        let fits = match self.encoding {
            Encoding::SecretItself => {
                let text = headers.get(self.header).ok_or(InvalidSignature::Malformed)?;
                // Of hashes, so that the time tells no length.
                let given = digest(&SHA256, text.as_bytes());
                keys.any(|key| digest(&SHA256, key).as_ref().ct_eq(given.as_ref()).into())
            }
            Encoding::Hex | Encoding::Base64 => {
                let claim = self.claim(headers, now_unix)?;
                let parts = self.parts(&claim, body);
                !claim.macs.is_empty()
                    && keys.any(|key| {
                        let expected = mac(key, &parts);
                        claim.macs.iter().any(|given| given.ct_eq(&expected).into())
                    })
            }
        };
        if fits { Ok(()) } else { Err(InvalidSignature::Wrong) }
    }

    fn claim<'h>(&self, headers: &'h ProducerHeaders, now_unix: i64) -> Result<Claim<'h>, InvalidSignature> {
        let text = headers.get(self.header).ok_or(InvalidSignature::Malformed)?;
        let id = self.id.map_or(Some(""), |name| headers.get(name).filter(|id| !id.is_empty()));
        // A dot in the id would shift the signed fields.
        let id = id.filter(|id| !id.contains('.')).ok_or(InvalidSignature::Malformed)?;
        let timestamp = self.timestamp.map_or(Ok(""), |timestamp| self.fresh(headers, text, timestamp, now_unix))?;
        let Some(separator) = self.separator else {
            let one = text.strip_prefix(self.prefix).and_then(|text| self.encoding.decode(text));
            return Ok(Claim { macs: vec![one.ok_or(InvalidSignature::Malformed)?], id, timestamp });
        };
        let entries: Vec<&str> = text.split(separator).take(MAX_ENTRIES + 1).map(str::trim).collect();
        if entries.len() > MAX_ENTRIES {
            return Err(InvalidSignature::TooMany);
        }
        let decoded = entries.iter().filter_map(|entry| self.encoding.decode(entry.strip_prefix(self.prefix)?));
        Ok(Claim { macs: decoded.collect(), id, timestamp })
    }

    /// The time of signing as it was written, if it is near enough.
    fn fresh<'h>(
        &self,
        headers: &'h ProducerHeaders,
        signatures: &'h str,
        timestamp: Timestamp<'_>,
        now_unix: i64,
    ) -> Result<&'h str, InvalidSignature> {
        let text = match timestamp {
            Timestamp::Header(name) => headers.get(name),
            Timestamp::Entry(prefix) => {
                let entries = signatures.split(self.separator.unwrap_or(',')).take(MAX_ENTRIES);
                let mut times = entries.filter_map(|entry| entry.trim().strip_prefix(prefix));
                times.next().filter(|_| times.next().is_none())
            }
        };
        let digits = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let text = text.filter(digits).ok_or(InvalidSignature::Malformed)?;
        let signed_at: i64 = text.parse().map_err(|_| InvalidSignature::Malformed)?;
        let is_near = now_unix.abs_diff(signed_at) <= TOLERANCE_SECONDS.unsigned_abs();
        if is_near { Ok(text) } else { Err(InvalidSignature::Stale) }
    }

    fn parts<'p>(&'p self, claim: &Claim<'p>, body: &'p [u8]) -> Vec<&'p [u8]> {
        let part = |part: &Part<'p>| match part {
            Part::Text(text) => text.as_bytes(),
            Part::Id => claim.id.as_bytes(),
            Part::Timestamp => claim.timestamp.as_bytes(),
            Part::Body => body,
        };
        self.signed.iter().map(part).collect()
    }
}

fn decode_hex(hex: &str) -> Option<[u8; MAC_BYTES]> {
    let mut bytes = [0; MAC_BYTES];
    if hex.len() != 2 * MAC_BYTES || !hex.is_ascii() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| !pair.starts_with('+'))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
#[path = "tests/scheme.rs"]
mod tests;
