//! `postrider tail`: what happens, as it happens. A lost connection is opened again where it broke off.

use std::time::Duration;

use clap::Args;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Remote;
use super::client::Call;
use super::filters::DeliveryFilters;
use super::list::Form;
use super::printable::shown;
use super::sse::{Event, Reader};
use super::when::clock;
use crate::commands::Failure;

/// Several heartbeats of the server; a connection that is silent for longer is lost.
const MAX_SILENCE: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Which events to follow.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  postrider tail --status failed\n  postrider tail --subscription acme-orders --json | jq .data.outcome"
)]
pub struct Tail {
    #[command(flatten)]
    filters: DeliveryFilters,
    /// End after so many lines
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    #[command(flatten)]
    form: Form,
}

/// How far it has come.
struct Position {
    left: u64,
    /// Of the last event that was printed.
    id: Option<String>,
}

impl Tail {
    pub(super) async fn run(self, remote: &Remote) -> Result<(), Failure> {
        let mut position = Position { left: self.limit.unwrap_or(u64::MAX), id: None };
        let (mut was_connected, mut pause) = (false, FIRST_PAUSE);
        loop {
            let call = Call::get(&["stream"]).queries(self.filters.queries()).header("accept", "text/event-stream")?;
            let call = match &position.id {
                Some(id) => call.header("last-event-id", id)?,
                None => call,
            };
            let lost = match remote.client.open(call).await {
                Ok(answer) => {
                    if was_connected {
                        remote.note("connected again");
                    }
                    (was_connected, pause) = (true, FIRST_PAUSE);
                    match self.follow(remote, answer.into_body(), &mut position).await? {
                        Some(lost) => lost,
                        None => return Ok(()),
                    }
                }
                Err(error) if was_connected && error.is_temporary() => error.to_string(),
                Err(error) => return Err(error.into()),
            };
            remote.note(&format!("{lost}; connecting again in {} s", pause.as_secs()));
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Returns why the connection is lost, or `None` where enough is printed.
    async fn follow(
        &self,
        remote: &Remote,
        mut body: Incoming,
        position: &mut Position,
    ) -> Result<Option<String>, Failure> {
        let mut reader = Reader::default();
        loop {
            let piece = match tokio::time::timeout(MAX_SILENCE, body.frame()).await {
                Err(_) => return Ok(Some(format!("the server said nothing for {} s", MAX_SILENCE.as_secs()))),
                Ok(None) => return Ok(Some("the server ended the stream".to_owned())),
                Ok(Some(Err(error))) => return Ok(Some(format!("the connection was lost: {error}"))),
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            };
            let events = match reader.read(&piece) {
                Ok(events) => events,
                Err(error) => return Ok(Some(error.to_string())),
            };
            for event in events {
                if self.form.json {
                    remote.print_json(&json_line(&event))?
                } else {
                    remote.print(line(&event))?
                }
                position.id = event.id.or(position.id.take());
                position.left -= 1;
                if position.left == 0 {
                    return Ok(None);
                }
            }
        }
    }
}

/// `{"id": …, "event": …, "data": …}`.
fn json_line(event: &Event) -> String {
    let data: Value = serde_json::from_str(&event.data).unwrap_or_else(|_| Value::from(event.data.as_str()));
    serde_json::json!({ "id": event.id, "event": event.name, "data": data }).to_string()
}

/// Time, kind, event, type, subscription, and what came of it.
fn line(event: &Event) -> String {
    let kind = shown(&Value::from(event.name.as_str()));
    let Ok(data @ Value::Object(_)) = serde_json::from_str::<Value>(&event.data) else {
        return format!("{kind}  {}", shown(&Value::from(event.data.as_str())));
    };
    let field = |names: &[&str]| {
        names
            .iter()
            .filter_map(|name| data.get(name))
            .find(|value| !value.is_null())
            .map(shown)
            .filter(|text| !text.is_empty())
    };
    let now = || OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
    let at = clock(&field(&["at", "created_at", "ended_at", "accepted_at"]).unwrap_or_else(now));
    let Some(webhook_id) = field(&["webhook_id"]) else { return format!("{at}  {kind:8}  {}", shown(&data)) };
    let came = [
        field(&["status"]),
        field(&["outcome"]),
        field(&["status_code"]),
        field(&["reason"]),
        field(&["attempt_number"]).map(|number| format!("attempt {number}")),
        field(&["duration_ms"]).map(|duration| format!("{duration} ms")),
    ];
    let words = [field(&["event_type"]), field(&["external_id", "subscription_id"])].into_iter().chain(came).flatten();
    format!("{at}  {kind:8}  {webhook_id}  {}", words.collect::<Vec<_>>().join("  ")).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_without_escape_sequences() {
        let data = r#"{"webhook_id": "w", "event_type": "a.\u001b[2Jb", "subscription_id": "s", "external_id": "acme\n",
            "outcome": "http_5xx", "status_code": 500, "attempt_number": 2, "at": "2026-11-28T12:00:01Z"}"#;
        let event = Event { name: "attempt".to_owned(), id: None, data: data.replace('\n', "") };
        assert_eq!(line(&event), "12:00:01Z  attempt   w  a.\\u{1b}[2Jb  acme\\n  http_5xx  500  attempt 2");
        let missed = Event { name: "missed\u{7}".to_owned(), id: None, data: "a\u{1b}".to_owned() };
        assert_eq!(line(&missed), "missed\\u{7}  a\\u{1b}");
    }
}
