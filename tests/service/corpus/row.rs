//! The rows of the corpus. A field or a kind of generator that is not known here fails the
//! test: a row that is not understood is not run as something else.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

const CORPUS: &str = include_str!("../../corpus/bad-inputs.jsonl");

/// One request, or one pattern of requests, and what has to come of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
    body: Option<String>,
    body_b64: Option<String>,
    pub(super) generator: Option<Generator>,
    pub(super) raw: Option<String>,
    pub(super) auth: Auth,
    pub(super) expect: Expect,
    #[serde(rename = "policy")]
    _policy: Option<String>,
    pub(super) setup: Option<String>,
}

/// Which key the request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Auth {
    Valid,
    None,
}

/// What has to come of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    pub(super) class: Vec<String>,
    pub(super) status: Vec<u16>,
    pub(super) reason: String,
    pub(super) check: Option<String>,
}

/// How a request is made that is too long, too slow or too many for its line.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Generator {
    Repeat(Repeat),
    Drip { bytes_per_second: u64, total: usize },
    Gzip { of: String },
    Signed(Signed),
    Sequence(Sequence),
    Parallel { count: usize, body: String },
    Headers { name: String, value: String, count: usize },
    HeaderRepeat { header: String, unit: String, count: usize },
    PartialThenHold { raw: String, hold_seconds: u64 },
}

/// A body of many equal parts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Repeat {
    prefix: String,
    unit: String,
    count: usize,
    #[serde(default)]
    tail_unit: String,
    #[serde(default)]
    tail_count: usize,
    suffix: String,
    /// Sent chunked, in chunks of so many bytes.
    pub(super) chunk: Option<usize>,
}

/// A signature that is right, or not quite.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Signed {
    pub(super) scheme: Scheme,
    /// A placeholder for the subscription's secret.
    pub(super) secret: String,
    /// What is signed, and sent unless `send_body` says otherwise.
    pub(super) body: String,
    pub(super) send_body: Option<String>,
    #[serde(default)]
    pub(super) append: String,
    #[serde(default)]
    pub(super) upper: bool,
    /// Seconds from now.
    #[serde(default)]
    pub(super) timestamp_offset: i64,
    pub(super) id: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Scheme {
    Sha256Hex,
    StandardWebhooks,
}

/// Requests one after the other; the last answer counts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sequence {
    #[serde(default)]
    bodies: Vec<String>,
    #[serde(default)]
    body: String,
    #[serde(default)]
    count: usize,
    #[serde(rename = "judge")]
    _judge: Option<Judge>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Judge {
    Last,
}

/// Every row, in the order of the file.
pub(super) fn read() -> Vec<Row> {
    let read = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    CORPUS.lines().map(read).collect()
}

impl Row {
    /// Whether it takes as long as a limit of the service lasts.
    pub(super) fn is_slow(&self) -> bool {
        matches!(self.generator, Some(Generator::Drip { .. } | Generator::PartialThenHold { .. }))
    }

    /// Whether it may make others wait, or be refused.
    pub(super) fn is_burst(&self) -> bool {
        matches!(self.generator, Some(Generator::Parallel { .. }))
    }

    /// Whether it may end what other rows need.
    pub(super) fn is_destructive(&self) -> bool {
        self.method == "DELETE" && self.allows(200)
    }

    /// Whether this status would do.
    pub(super) fn allows(&self, status: u16) -> bool {
        self.expect.status.contains(&status)
    }

    /// Whether its bytes are meant for the reader of the protocol, which answers before the
    /// API is reached.
    pub(super) fn is_wire(&self) -> bool {
        self.raw.is_some() || self.name.starts_with("wire_")
    }

    /// The body as it stands in the row.
    pub(super) fn body(&self) -> Vec<u8> {
        match (&self.body, &self.body_b64) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(text)) => STANDARD.decode(text).unwrap(),
            (None, None) => Vec::new(),
        }
    }
}

impl Repeat {
    pub(super) fn body(&self) -> Vec<u8> {
        let (middle, tail) = (self.unit.repeat(self.count), self.tail_unit.repeat(self.tail_count));
        [self.prefix.as_str(), &middle, &tail, &self.suffix].concat().into_bytes()
    }
}

impl Sequence {
    pub(super) fn bodies(&self) -> Vec<String> {
        if self.bodies.is_empty() { vec![self.body.clone(); self.count] } else { self.bodies.clone() }
    }
}
