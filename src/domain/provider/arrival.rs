//! What a producer says of its event: type, id, and the text that Slack wants back.

use ring::digest::{Context, SHA256};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{ProducerHeaders, Provider, Source};
use crate::domain::content_type::{ContentType, FORM};
use crate::domain::event_type::{EventType, InvalidEventType};
use crate::domain::id::SubscriptionId;
use crate::domain::idempotency::IdempotencyKey;

/// Slack sends about 60 characters.
const MAX_CHALLENGE_BYTES: usize = 1_024;
/// Form field in which GitHub and Slack send their JSON.
const FORM_FIELD: &str = "payload";
/// Longer ids are hashed.
const MAX_ID_BYTES: usize = 128;

/// A request that has arrived: its headers and its body.
pub(crate) struct Arrival<'a> {
    headers: &'a ProducerHeaders,
    body: &'a [u8],
    /// The JSON of a form.
    from_form: Option<String>,
}

/// The members that the table names. Others are passed over; one that stands twice makes all of them unreadable.
#[derive(Default, Deserialize)]
struct Members<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    action: Option<&'a RawValue>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(borrow)]
    event_id: Option<&'a RawValue>,
    #[serde(borrow)]
    source: Option<&'a RawValue>,
    #[serde(borrow)]
    challenge: Option<&'a RawValue>,
}

impl<'a> Members<'a> {
    fn of(document: &'a [u8]) -> Self {
        // An array would be read by position.
        let is_object = document.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
        if is_object { serde_json::from_slice(document).unwrap_or_default() } else { Self::default() }
    }

    fn get(&self, name: &str) -> Option<&'a RawValue> {
        match name {
            "type" => self.kind,
            "id" => self.id,
            "action" => self.action,
            "event" => self.event,
            "event_id" => self.event_id,
            "source" => self.source,
            "challenge" => self.challenge,
            _ => None,
        }
    }
}

impl<'a> Arrival<'a> {
    pub(crate) fn new(headers: &'a ProducerHeaders, content_type: &ContentType, body: &'a [u8]) -> Self {
        let field = || {
            let mut fields = url::form_urlencoded::parse(body);
            fields.find(|(name, _)| name == FORM_FIELD).map(|(_, value)| value.into_owned())
        };
        Self { headers, body, from_form: if content_type.essence() == FORM { field() } else { None } }
    }

    fn document(&self) -> &[u8] {
        self.from_form.as_ref().map_or(self.body, |text| text.as_bytes())
    }

    /// `None` if nothing of it is a text.
    fn member(&self, path: &[&str]) -> Option<String> {
        let (last, before) = path.split_last()?;
        let mut document = self.document();
        for name in before {
            document = Members::of(document).get(name)?.get().as_bytes();
        }
        serde_json::from_str(Members::of(document).get(last)?.get()).ok()
    }

    fn read(&self, source: &Source) -> Option<String> {
        let text = match source {
            Source::Header(name) | Source::HeaderAndBody(name) => self.headers.get(name).map(str::to_owned),
            Source::Member(path) => self.member(path),
        };
        text.filter(|text| !text.is_empty())
    }

    fn first(&self, sources: &[Source]) -> Option<String> {
        sources.iter().find_map(|source| self.read(source))
    }

    /// `pull_request` and the action `opened` make `pull_request.opened`.
    pub(crate) fn event_type(&self, provider: &Provider) -> Result<Option<EventType>, InvalidEventType> {
        let Some(name) = self.first(provider.event_type) else { return Ok(None) };
        let named = match self.first(provider.action) {
            Some(action) => format!("{name}.{action}"),
            None => name,
        };
        let named = event_type_name(&named);
        if named.is_empty() { Ok(None) } else { named.parse().map(Some) }
    }

    /// Another subscription may get the same id.
    pub(crate) fn idempotency_key(&self, provider: &Provider, of: SubscriptionId) -> Option<IdempotencyKey> {
        let (source, id) = provider.id.iter().find_map(|source| Some((source, self.read(source)?)))?;
        let scope = self.first(provider.id_scope);
        let body = matches!(source, Source::HeaderAndBody(_)).then_some(self.body);
        let is_plain = id.len() <= MAX_ID_BYTES && id.bytes().all(|byte| byte.is_ascii_graphic());
        let id = match (scope, body) {
            (None, None) if is_plain => id,
            (scope, body) => hashed([scope.unwrap_or_default().as_bytes(), id.as_bytes(), body.unwrap_or_default()]),
        };
        Some(IdempotencyKey::of_provider(provider.name, of, &id))
    }

    /// What Slack wants to read back once, before it sends events to a URL.
    pub(crate) fn challenge(&self, provider: &Provider) -> Option<String> {
        let asks = provider.name == "slack" && self.member(&["type"]).as_deref() == Some("url_verification");
        self.member(&["challenge"]).filter(|text| asks && text.len() <= MAX_CHALLENGE_BYTES)
    }
}

/// A producer's name as an event type: `/` and `:` become dots, other characters that no event type has become `_`, and
/// a name with blanks is written in lower case. `orders/create` is `orders.create`, `Push Hook` is `push_hook`.
fn event_type_name(name: &str) -> String {
    let name = if name.contains(' ') { name.to_ascii_lowercase() } else { name.to_owned() };
    let legal = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' };
    let segments = name.split(['.', '/', ':']).map(str::trim).filter(|segment| !segment.is_empty());
    segments.map(|segment| segment.chars().map(legal).collect::<String>()).collect::<Vec<_>>().join(".")
}

/// A length before each part makes the encoding unambiguous.
fn hashed(parts: [&[u8]; 3]) -> String {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    crate::domain::signature::hex(context.finish().as_ref())
}

#[cfg(test)]
#[path = "tests/arrival.rs"]
mod tests;
