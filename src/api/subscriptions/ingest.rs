//! What a subscription says of its producer, in bodies and responses; never its secret.

use poem_openapi::Object;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::api::form::{Field, FormField, List, Place, Plain, form};
use crate::api::text::{FromText, Refused, choice, words};
use crate::domain::ingest::{
    IngestRules, InvalidIngest, MAX_CONTENT_TYPES, MAX_HEADER_BYTES, MAX_PREFIX_BYTES, ProviderName, SecretChange,
    check_prefix, payload_type, signature_header,
};
use crate::domain::provider::{Encoding, KeyForm, Provider};
use crate::domain::secret::{MASK, Secret};
use crate::store::SealedIngest;

/// Of `Secret`.
const MAX_SECRET_LENGTH: usize = 256;
const MAX_CONTENT_TYPE_LENGTH: usize = 255;

choice! {
    /// How a described signature is written.
    pub(super) enum MacText {
        /// Hexadecimal.
        Hex = "hex",
        /// Base64 with padding.
        Base64 = "base64",
    }
}

form! {
    /// What the producer of `/ingest` is, and how it signs.
    pub(super) struct ProducerForm {
        /// Who signs; `hmac` is a signature over the body that `header`, `encoding` and `prefix` describe. Null: any
        /// known signature.
        provider: Option<ProviderName>,
        /// As the producer shows it: for `svix` and `standard`, `whsec_` and base64, for others the text itself is the
        /// key. Null: the subscription's own secret. Missing: a stored one stays.
        secret: Field<Plain<MAX_SECRET_LENGTH>>,
        /// Of `hmac`: the header of the signature.
        header: Option<Plain<MAX_HEADER_BYTES>>,
        /// Of `hmac`: `hex` by default.
        encoding: Option<MacText>,
        /// Of `hmac`: what stands before the signature, as `sha256=`.
        prefix: Option<Plain<MAX_PREFIX_BYTES>>,
        /// Content types that are allowed besides JSON.
        content_types: Option<List<Plain<MAX_CONTENT_TYPE_LENGTH>, 0, MAX_CONTENT_TYPES>>,
    }
}

/// What a subscription says of its producer.
#[derive(Debug, Default, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct ProducerAnswer {
    /// Who signs; null for any known signature.
    provider: Option<String>,
    /// A mask; null if the subscription's own secret is used.
    secret: Option<String>,
    /// Of `hmac`: the header of the signature.
    header: Option<String>,
    /// Of `hmac`: `hex` or `base64`.
    encoding: Option<String>,
    /// Of `hmac`: what stands before the signature.
    prefix: Option<String>,
    /// Content types that are allowed besides JSON.
    content_types: Vec<String>,
}

impl ProducerAnswer {
    pub(super) fn of(stored: SealedIngest) -> Option<Self> {
        let rules = stored.rules?;
        let encoding = |encoding| match encoding {
            Encoding::Base64 => MacText::Base64.word().to_owned(),
            Encoding::Hex | Encoding::SecretItself => MacText::Hex.word().to_owned(),
        };
        Some(Self {
            provider: rules.provider.map(|row| row.0.name.to_owned()),
            secret: stored.secret.map(|_| MASK.to_owned()),
            header: rules.header,
            encoding: rules.encoding.map(encoding),
            prefix: rules.prefix,
            content_types: rules.content_types,
        })
    }
}

impl FromText for ProviderName {
    fn rules() -> MetaSchema {
        words(&Provider::names().collect::<Vec<_>>())
    }

    fn from_text(text: &str) -> Result<Self, Refused> {
        let rule = || format!("must be one of {}", Provider::names().collect::<Vec<_>>().join(", "));
        Provider::named(text).map(Self).ok_or_else(|| Refused { code: "unknown_provider", rule: rule() })
    }
}

/// The rules of a request, and what it says of the secret.
#[derive(Debug, Clone)]
pub(super) struct GivenIngest(pub(super) IngestRules, pub(super) SecretChange);

impl FormField for GivenIngest {
    fn schema() -> MetaSchemaRef {
        ProducerForm::schema()
    }

    fn register(registry: &mut Registry) {
        ProducerForm::register(registry);
    }

    fn read(value: &RawValue, at: &mut Place<'_>) -> Option<Self> {
        let form = ProducerForm::read(value, at)?;
        let row = form.provider.map(|name| name.0);
        let secret = secret(row, form.secret, &mut at.below("/secret"));
        let is_described = row.is_some_and(Provider::is_described);
        if is_described && form.header.is_none() {
            at.below("/header").refuse("required", InvalidIngest::HeaderMissing);
        }
        let given = [
            ("/header", form.header.is_some()),
            ("/encoding", form.encoding.is_some()),
            ("/prefix", form.prefix.is_some()),
        ];
        for (name, _) in given.into_iter().filter(|(_, is_given)| *is_given && !is_described) {
            at.below(name).refuse("conflict", InvalidIngest::OnlyDescribed);
        }
        let mut checked = |name: &str, text: String, check: fn(&str) -> Result<String, InvalidIngest>| {
            check(&text).map_err(|rule| at.below(name).refuse("invalid_ingest", rule)).ok()
        };
        let header = form.header.and_then(|text| checked("/header", text.0, signature_header));
        let prefix = form
            .prefix
            .and_then(|text| checked("/prefix", text.0, |text| check_prefix(text).map(|()| text.to_owned())));
        let types = form.content_types.map(|list| list.0).unwrap_or_default().into_iter().enumerate();
        let types = types.filter_map(|(index, text)| checked(&format!("/content_types/{index}"), text.0, payload_type));
        let mut content_types = Vec::new();
        types.for_each(|essence| {
            if !content_types.contains(&essence) {
                content_types.push(essence);
            }
        });
        let encoding = match form.encoding {
            Some(MacText::Base64) => Encoding::Base64,
            Some(MacText::Hex) | None => Encoding::Hex,
        };
        let rules = IngestRules {
            provider: form.provider,
            header,
            encoding: is_described.then_some(encoding),
            prefix: prefix.filter(|text| !text.is_empty()),
            content_types,
        };
        Some(Self(rules, secret?))
    }
}

fn secret(row: Option<&Provider>, given: Field<Plain<MAX_SECRET_LENGTH>>, at: &mut Place<'_>) -> Option<SecretChange> {
    let text = match given {
        Field::Absent => return Some(SecretChange::Keep),
        Field::Null => return Some(SecretChange::Remove),
        Field::Given(text) => text.0,
    };
    let Some(row) = row else {
        at.refuse("conflict", InvalidIngest::SecretWithoutProvider);
        return None;
    };
    // Stripe's secret begins with `whsec_` as well, and is no base64.
    let read =
        if row.key == KeyForm::Standard { Secret::of_standard_producer(&text) } else { Secret::of_producer(&text) };
    read.map(SecretChange::Set).map_err(|rule| at.refuse("invalid_secret", rule)).ok()
}
