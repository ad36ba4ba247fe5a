//! What a subscription says of its producer: who it is, how it signs, and what it may send besides JSON.

use serde::{Deserialize, Serialize};

use super::content_type::is_essence;
use super::provider::{Encoding, KeyForm, Part, ProducerHeaders, Provider, Scheme};
use super::secret::Secret;
use super::signature::InvalidSignature;

pub(crate) const MAX_CONTENT_TYPES: usize = 10;
pub(crate) const MAX_PREFIX_BYTES: usize = 32;
pub(crate) const MAX_HEADER_BYTES: usize = 100;

/// Headers with another meaning for `/ingest`, or for HTTP.
const NOT_FOR_SIGNATURES: [&str; 14] = [
    "accept",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "idempotency-key",
    "postrider-tenant",
    "transfer-encoding",
    "user-agent",
    "x-event-type",
    "x-ordering-key",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidIngest {
    #[error("must be a header name of 1 to {MAX_HEADER_BYTES} letters, digits and !#$%&'*+-.^_`|~")]
    HeaderName,
    #[error("must be a header of its own: this one has another meaning")]
    HeaderTaken,
    #[error("must be given with the provider hmac")]
    HeaderMissing,
    #[error("must stand only with the provider hmac")]
    OnlyDescribed,
    #[error("must be at most {MAX_PREFIX_BYTES} visible characters")]
    Prefix,
    #[error("must be a type and a subtype, as in text/xml, without parameters")]
    ContentType,
    #[error("must stand with a provider")]
    SecretWithoutProvider,
    /// The stored one belongs to another provider.
    #[error("must be given when the provider changes; null uses the subscription's own secret")]
    SecretOfAnother,
}

/// The part that is not secret, as it is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IngestRules {
    /// `None`: the known signature that a request has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<ProviderName>,
    /// Of the signature, in lower case; only with `hmac`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) header: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) encoding: Option<Encoding>,
    /// Before the signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) prefix: Option<String>,
    /// Allowed besides JSON, in lower case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) content_types: Vec<String>,
}

/// A row of the table, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProviderName(pub(crate) &'static Provider);

impl Serialize for ProviderName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name)
    }
}

impl<'a> Deserialize<'a> for ProviderName {
    fn deserialize<D: serde::Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let row = Provider::named(&name).ok_or_else(|| serde::de::Error::custom("no provider of this version"))?;
        Ok(Self(row))
    }
}

#[derive(Debug, Clone, Default)]
pub struct Ingest {
    pub(crate) rules: IngestRules,
    /// `None`: the subscription's own.
    pub(crate) secret: Option<Secret>,
}

/// A change to `ingest`, in a request.
#[derive(Debug, Clone, Default)]
pub enum IngestChange {
    #[default]
    Keep,
    Remove,
    Set(IngestRules, SecretChange),
}

#[derive(Debug, Clone)]
pub enum SecretChange {
    Keep,
    /// The subscription's own secret from now on.
    Remove,
    Set(Secret),
}

impl IngestRules {
    pub(crate) fn provider(&self) -> Option<&'static Provider> {
        self.provider.map(|name| name.0)
    }
}

impl Ingest {
    /// How this request has to be signed, and what of the secret is the key.
    pub(crate) fn signed_by(&self, headers: &ProducerHeaders) -> Result<(Scheme<'_>, KeyForm), InvalidSignature> {
        let rules = &self.rules;
        let key = |row: &Provider| if self.secret.is_some() { row.key } else { row.own_key };
        let expected = match (rules.provider(), &rules.header) {
            (Some(row), Some(header)) => Some((described(rules, header), key(row))),
            (Some(row), None) => row.scheme.map(|scheme| (scheme, key(row))),
            (None, _) => None,
        };
        if let Some((scheme, key)) = expected {
            return if headers.has(scheme.header) { Ok((scheme, key)) } else { Err(InvalidSignature::Missing) };
        }
        let mut known = headers.signed_as();
        match (known.next(), known.next()) {
            (None, _) => Err(InvalidSignature::Missing),
            (Some((row, scheme)), None) => Ok((scheme, key(row))),
            (Some(_), Some(_)) => Err(InvalidSignature::Ambiguous),
        }
    }

    /// The row that says what a request is about: the named one, or that of the only signature.
    pub(crate) fn provider_of(&self, headers: &ProducerHeaders) -> Option<&'static Provider> {
        if let Some(row) = self.rules.provider() {
            return Some(row);
        }
        let mut known = headers.signed_as();
        match (known.next(), known.next()) {
            (Some((row, _)), None) if !row.must_be_named() => Some(row),
            _ => None,
        }
    }

    /// Whether a body that is not JSON may have this type: `ingest` names it, or the provider is known to send it.
    /// `is_verified`: whether the request's signature was checked.
    pub(crate) fn allows(&self, essence: &str, headers: &ProducerHeaders, is_verified: bool) -> bool {
        let is_trusted = is_verified || self.rules.provider.is_some();
        let of_provider =
            self.provider_of(headers).filter(|_| is_trusted).is_some_and(|row| row.content_types.contains(&essence));
        of_provider || self.rules.content_types.iter().any(|named| named == essence)
    }
}

fn described<'a>(rules: &'a IngestRules, header: &'a str) -> Scheme<'a> {
    Scheme {
        header,
        prefix: rules.prefix.as_deref().unwrap_or_default(),
        encoding: rules.encoding.unwrap_or(Encoding::Hex),
        separator: None,
        id: None,
        timestamp: None,
        signed: &[Part::Body],
    }
}

pub(crate) fn signature_header(text: &str) -> Result<String, InvalidIngest> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !(1..=MAX_HEADER_BYTES).contains(&text.len()) || !text.bytes().all(legal) {
        return Err(InvalidIngest::HeaderName);
    }
    let name = text.to_ascii_lowercase();
    if NOT_FOR_SIGNATURES.contains(&name.as_str()) { Err(InvalidIngest::HeaderTaken) } else { Ok(name) }
}

pub(crate) fn check_prefix(text: &str) -> Result<(), InvalidIngest> {
    let fits = text.len() <= MAX_PREFIX_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(()) } else { Err(InvalidIngest::Prefix) }
}

pub(crate) fn payload_type(text: &str) -> Result<String, InvalidIngest> {
    let essence = text.to_ascii_lowercase();
    if is_essence(&essence) { Ok(essence) } else { Err(InvalidIngest::ContentType) }
}
