//! `postrider publish`.

mod batch;

use std::fs::File;
use std::io::{IsTerminal as _, Read, stdin};

use bytes::Bytes;
use clap::Args;
use serde_json::Value;

use super::Remote;
use super::client::Call;
use super::list::Form;
use super::printable::{deliveries, printable, shown};
use super::refusal::RemoteError;
use super::when::future;
use crate::commands::Failure;

/// The largest payload, and the largest batch, that a service can be set to accept.
const MAX_BYTES: u64 = 64 << 20;

/// What to publish.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  postrider publish --type order.paid '{\"id\": 1}' --idempotency-key order-1-paid\n  postrider publish --type order.paid @order.json\n  jq -c . order.json | postrider publish --type order.paid\n  postrider publish --batch events.ndjson\n\nWithout --idempotency-key a publish that failed without an answer may have been accepted; with one it can be repeated safely."
)]
pub struct Publish {
    /// Payload, a JSON object or array; @FILE reads a file, - standard input
    #[arg(default_value = "-", hide_default_value = true, conflicts_with = "batch")]
    payload: String,
    /// Type of the event
    #[arg(long = "type", value_name = "EVENT_TYPE")]
    event_type: Option<String>,
    /// The same key again is the same event
    #[arg(long)]
    idempotency_key: Option<String>,
    /// Events of one key are delivered in order to ordered subscriptions
    #[arg(long)]
    ordering_key: Option<String>,
    /// Only to this subscription: id or external id
    #[arg(long)]
    subscription: Option<String>,
    /// Earliest delivery: 10m for ten minutes from now, or a time as in 2026-11-28T12:00:00Z
    #[arg(long, value_parser = future)]
    deliver_at: Option<String>,
    /// Latest delivery
    #[arg(long, value_parser = future)]
    expires_at: Option<String>,
    /// Publish many: a file, or - for standard input, with an event of POST /events/batch on each line
    #[arg(long, value_name = "FILE", conflicts_with_all = ["event_type", "idempotency_key", "ordering_key", "subscription", "deliver_at", "expires_at"])]
    batch: Option<String>,
    #[command(flatten)]
    form: Form,
}

impl Publish {
    pub(super) async fn run(self, remote: &Remote) -> Result<(), Failure> {
        if let Some(file) = &self.batch {
            return batch::publish(remote, file, self.form).await;
        }
        let payload = self.read_payload(remote)?;
        let queries = [
            ("subscription_id", &self.subscription),
            ("deliver_at", &self.deliver_at),
            ("expires_at", &self.expires_at),
        ];
        let queries = queries.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
        let mut call = Call::post(&["events"]).queries(queries).body(Bytes::from(payload));
        for (name, value) in [
            ("x-event-type", &self.event_type),
            ("idempotency-key", &self.idempotency_key),
            ("x-ordering-key", &self.ordering_key),
        ] {
            if let Some(value) = value {
                call = call.header(name, value)?;
            }
        }
        let answer = remote.client.send(call).await.map_err(|error| self.unsure(error))?;
        if self.form.json {
            return remote.print_answer(&answer, self.form);
        }
        let said: Value = answer.json()?;
        let field = |name: &str| said.get(name).map(shown).unwrap_or_default();
        let became = match said.get("duplicate") {
            Some(Value::Bool(true)) => "duplicate of an earlier one".to_owned(),
            _ => deliveries(said.get("matched").and_then(Value::as_u64).unwrap_or_default()),
        };
        remote.print(format_args!("{}  {became}", field("webhook_id")))
    }

    fn read_payload(&self, remote: &Remote) -> Result<Vec<u8>, Failure> {
        match self.payload.as_str() {
            "-" => {
                if stdin().is_terminal() {
                    remote.note("reading the payload from standard input; ctrl-d ends it");
                }
                whole(stdin().lock(), "standard input")
            }
            text => match text.strip_prefix('@') {
                Some(path) => whole(open(path)?, path),
                None => Ok(text.as_bytes().to_vec()),
            },
        }
    }

    /// An answer that never came may have been a 202.
    fn unsure(&self, error: RemoteError) -> RemoteError {
        match error {
            RemoteError::Unreachable(said) if self.idempotency_key.is_none() && !said.starts_with("cannot reach") => {
                RemoteError::Unreachable(format!(
                    "{said}; the event may have been accepted (--idempotency-key makes a repeat safe)"
                ))
            }
            error => error,
        }
    }
}

fn open(path: &str) -> Result<File, Failure> {
    File::open(path).map_err(|error| Failure::new(format!("cannot read {}: {error}", printable(path))))
}

fn whole(from: impl Read, name: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = from.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    let read = read.map_err(|error| Failure::new(format!("cannot read {}: {error}", printable(name))))?;
    if u64::try_from(read).is_ok_and(|read| read > MAX_BYTES) {
        return Err(Failure::new(format!("{} has more than {MAX_BYTES} bytes", printable(name))));
    }
    Ok(bytes)
}
