//! The producers whose webhooks `/ingest` takes unchanged, as one table: how each of them signs, and where it says what
//! its event is and by which id it repeats it.

use super::content_type::{CLOUD_EVENT, FORM};

mod arrival;
mod headers;
mod scheme;

pub(crate) use arrival::Arrival;
pub use headers::ProducerHeaders;
pub(crate) use scheme::{Encoding, KeyForm, MAX_ENTRIES, Part, Scheme, Timestamp};

/// Where a request says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Header(&'static str),
    /// A header together with the body: other requests may have the same value.
    HeaderAndBody(&'static str),
    /// A text in the JSON document, by the names of the members that lead to it.
    Member(&'static [&'static str]),
}

/// A row of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Provider {
    pub(crate) name: &'static str,
    /// `None`: it signs in any of the other ways, or in a way that the subscription describes.
    pub(crate) scheme: Option<Scheme<'static>>,
    /// Of a secret that `ingest` names.
    pub(crate) key: KeyForm,
    /// Of the subscription's own secret.
    pub(crate) own_key: KeyForm,
    /// The first of them that is there is the event type.
    event_type: &'static [Source],
    /// Added to the event type, after a dot.
    action: &'static [Source],
    /// The first of them that is there is the idempotency key.
    id: &'static [Source],
    /// The id is unique only together with it.
    id_scope: &'static [Source],
    /// Content types that it sends besides JSON.
    pub(crate) content_types: &'static [&'static str],
}

const HMAC_ROW: Provider = Provider {
    name: "hmac",
    scheme: None,
    key: KeyForm::Text,
    own_key: KeyForm::Text,
    event_type: &[],
    action: &[],
    id: &[],
    id_scope: &[],
    content_types: &[],
};

const fn over_body(header: &'static str, prefix: &'static str, encoding: Encoding) -> Scheme<'static> {
    Scheme { header, prefix, encoding, separator: None, id: None, timestamp: None, signed: &[Part::Body] }
}

/// Standard Webhooks 1.0.0; Svix uses it with headers of its own.
const fn standard(id: &'static str, timestamp: &'static str, header: &'static str) -> Scheme<'static> {
    Scheme {
        header,
        prefix: "v1,",
        encoding: Encoding::Base64,
        separator: Some(' '),
        id: Some(id),
        timestamp: Some(Timestamp::Header(timestamp)),
        signed: &[Part::Id, Part::Text("."), Part::Timestamp, Part::Text("."), Part::Body],
    }
}

/// In the order of the documents.
pub(crate) static PROVIDERS: [Provider; 9] = [
    // https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    // The header is also that of WebSub, and of postrider's own deliveries.
    Provider {
        name: "github",
        scheme: Some(over_body("x-hub-signature-256", "sha256=", Encoding::Hex)),
        own_key: KeyForm::Standard,
        event_type: &[Source::Header("x-github-event")],
        action: &[Source::Member(&["action"])],
        id: &[Source::Header("x-github-delivery")],
        content_types: &[FORM],
        ..HMAC_ROW
    },
    // https://docs.stripe.com/webhooks#verify-manually
    Provider {
        name: "stripe",
        scheme: Some(Scheme {
            header: "stripe-signature",
            prefix: "v1=",
            encoding: Encoding::Hex,
            separator: Some(','),
            id: None,
            timestamp: Some(Timestamp::Entry("t=")),
            signed: &[Part::Timestamp, Part::Text("."), Part::Body],
        }),
        event_type: &[Source::Member(&["type"])],
        id: &[Source::Member(&["id"])],
        ..HMAC_ROW
    },
    // https://shopify.dev/docs/apps/build/webhooks/subscribe/https
    Provider {
        name: "shopify",
        scheme: Some(over_body("x-shopify-hmac-sha256", "", Encoding::Base64)),
        event_type: &[Source::Header("x-shopify-topic")],
        id: &[Source::Header("x-shopify-webhook-id")],
        ..HMAC_ROW
    },
    // https://docs.slack.dev/authentication/verifying-requests-from-slack
    Provider {
        name: "slack",
        scheme: Some(Scheme {
            header: "x-slack-signature",
            prefix: "v0=",
            encoding: Encoding::Hex,
            separator: None,
            id: None,
            timestamp: Some(Timestamp::Header("x-slack-request-timestamp")),
            signed: &[Part::Text("v0:"), Part::Timestamp, Part::Text(":"), Part::Body],
        }),
        event_type: &[Source::Member(&["event", "type"]), Source::Member(&["type"])],
        id: &[Source::Member(&["event_id"])],
        content_types: &[FORM],
        ..HMAC_ROW
    },
    // https://docs.svix.com/receiving/verifying-payloads/how-manual
    Provider {
        name: "svix",
        scheme: Some(standard("svix-id", "svix-timestamp", "svix-signature")),
        key: KeyForm::Standard,
        own_key: KeyForm::Standard,
        event_type: &[Source::Member(&["type"])],
        id: &[Source::Header("svix-id")],
        ..HMAC_ROW
    },
    // https://docs.gitlab.com/user/project/integrations/webhooks/
    Provider {
        name: "gitlab",
        scheme: Some(over_body("x-gitlab-token", "", Encoding::SecretItself)),
        event_type: &[Source::Header("x-gitlab-event")],
        // Webhooks that cause each other share the UUID, but not the body.
        id: &[Source::Header("idempotency-key"), Source::HeaderAndBody("x-gitlab-event-uuid")],
        ..HMAC_ROW
    },
    // https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
    // The specification leaves signatures open.
    Provider {
        name: "cloudevents",
        key: KeyForm::Standard,
        own_key: KeyForm::Standard,
        event_type: &[Source::Header("ce-type"), Source::Member(&["type"])],
        id: &[Source::Header("ce-id"), Source::Member(&["id"])],
        id_scope: &[Source::Header("ce-source"), Source::Member(&["source"])],
        ..HMAC_ROW
    },
    // https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    Provider {
        name: "standard",
        scheme: Some(standard("webhook-id", "webhook-timestamp", "webhook-signature")),
        key: KeyForm::Standard,
        own_key: KeyForm::Standard,
        event_type: &[Source::Member(&["type"])],
        id: &[Source::Header("webhook-id")],
        ..HMAC_ROW
    },
    HMAC_ROW,
];

impl Provider {
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        PROVIDERS.iter().find(|row| row.name == name)
    }

    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        PROVIDERS.iter().map(|row| row.name)
    }

    /// Whether the subscription has to describe its signature.
    pub(crate) fn is_described(&self) -> bool {
        self.name == HMAC_ROW.name
    }

    /// Whether a request without `ingest` is taken as it always was: an id of Standard Webhooks is no idempotency key.
    pub(crate) fn must_be_named(&self) -> bool {
        self.name == "standard"
    }

    /// Whether `Idempotency-Key` is one of its own headers, unique for a subscription alone.
    pub(crate) fn owns_idempotency_key(&self) -> bool {
        self.id.contains(&Source::Header("idempotency-key"))
    }

    /// Where a refusal finds the event type: `/headers/NAME`, or a pointer into the body.
    pub(crate) fn event_type_pointer(&self) -> String {
        match self.event_type.first() {
            Some(Source::Header(name) | Source::HeaderAndBody(name)) => format!("/headers/{name}"),
            Some(Source::Member(path)) => path.iter().map(|name| format!("/{name}")).collect(),
            None => String::new(),
        }
    }

    /// Every header that a row reads, in lower case.
    pub(crate) fn header_names(&self) -> impl Iterator<Item = &'static str> {
        let scheme = self.scheme.iter().flat_map(|scheme| scheme.header_names());
        let sources = [self.event_type, self.action, self.id, self.id_scope].into_iter().flatten();
        let header = |source: &Source| match source {
            Source::Header(name) | Source::HeaderAndBody(name) => Some(*name),
            Source::Member(_) => None,
        };
        scheme.chain(sources.filter_map(header))
    }
}

/// The row for a CloudEvent, in either of its forms.
pub(crate) fn cloud_event(headers: &ProducerHeaders, essence: &str) -> Option<&'static Provider> {
    let is_one = essence == CLOUD_EVENT || headers.get("ce-specversion").is_some();
    if is_one { Provider::named("cloudevents") } else { None }
}
