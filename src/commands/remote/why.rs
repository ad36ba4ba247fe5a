//! `postrider why`: the story of what a text or id names: what was found, who got it, who did not and why.

mod advice;

use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;

use super::Remote;
use super::client::Call;
use super::list::Form;
use super::printable::printable;
use super::refusal::{REFUSED, RemoteError};
use super::when;
use crate::commands::Failure;
use advice::advice;

/// Pages that are followed while nothing is found: each searches payloads for up to a second.
const MAX_PAGES: usize = 120;

/// What to look for.
#[derive(Debug, Args)]
#[command(
    after_help = "Ends with 0 if something was found, 1 if not, 2 or 3 if the server could not be asked.\n\nExamples:\n  \
                  postrider why order-4711\n  postrider why 01a20a9a-0d34-739d-b1a1-b9f7a22d5d23\n  postrider why acme-orders --json"
)]
pub struct Why {
    /// An order number or another text of a payload; the id of an event, attempt, subscription, tenant, refused request
    /// or key; an external id; an idempotency or ordering key
    #[arg(value_name = "TEXT|ID")]
    text: String,
    #[command(flatten)]
    form: Form,
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
    examined_to: Option<String>,
}

/// A row of `/search`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Row {
    kind: String,
    id: String,
    status: String,
    reason: Option<String>,
    title: String,
    at: Option<String>,
    webhook_id: Option<String>,
    subscription_id: Option<String>,
    target_url: Option<String>,
    next_attempt_at: Option<String>,
    key_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Attempt {
    subscription_id: String,
    attempt_number: i64,
    created_at: String,
    duration_ms: i64,
    status_code: Option<i64>,
    error_message: Option<String>,
}

#[derive(Deserialize)]
struct Attempts {
    data: Vec<Attempt>,
}

impl Why {
    pub(super) async fn run(self, remote: &Remote) -> Result<(), Failure> {
        let page = self.search(remote).await?;
        remote.forget_status();
        if page.data.is_empty() {
            let back = page.examined_to.map(|at| format!(" in payloads back to {}", printable(&at)));
            let sentence = format!(
                "nothing found for \"{}\"{}: no such request came, it was dropped by retention, or another tenant has it",
                printable(&self.text),
                back.unwrap_or_default()
            );
            return Err(Failure::WithCode { code: REFUSED, sentence });
        }
        if self.form.json {
            page.data.iter().try_for_each(|row| remote.print_json(&row.get().replace(['\n', '\r'], " ")))?;
        } else {
            let rows: Result<Vec<Row>, _> = page.data.iter().map(|row| serde_json::from_str(row.get())).collect();
            let rows = rows.map_err(|error| Failure::new(format!("a row cannot be read: {error}")))?;
            remote.print(story(&rows, remote).await?)?;
        }
        if let Some(at) = page.examined_to {
            remote.note(&format!("older events than {} were not searched", printable(&at)));
        }
        Ok(())
    }

    /// The first page that has something, or the last one.
    async fn search(&self, remote: &Remote) -> Result<Page, RemoteError> {
        let mut cursor: Option<String> = None;
        for asked in 1.. {
            let call = Call::get(&["search"]).query("q", &self.text);
            let call = cursor.iter().fold(call, |call, cursor| call.query("cursor", cursor));
            let page: Page = remote.client.send(call).await?.json()?;
            if !page.data.is_empty() || page.next_cursor.is_none() || asked >= MAX_PAGES {
                return Ok(page);
            }
            if let Some(at) = &page.examined_to {
                remote.show_status(&format!("looked back to {}", printable(at)));
            }
            cursor = page.next_cursor;
        }
        Err(RemoteError::Usage("no page was asked for".to_owned()))
    }
}

/// A paragraph for each event, refused request or object. Without a line break at the end.
async fn story(rows: &[Row], remote: &Remote) -> Result<String, Failure> {
    let now = OffsetDateTime::now_utc();
    let (mut paragraphs, mut attempts): (Vec<String>, Vec<Attempt>) = (Vec::new(), Vec::new());
    for row in rows {
        match row.kind.as_str() {
            "delivery" => {
                if let Some(paragraph) = paragraphs.last_mut() {
                    paragraph.push_str(&delivery(row, &attempts, now));
                }
            }
            "event" => {
                attempts = attempts_of(&row.id, remote).await?;
                paragraphs.push(event(row, now));
            }
            "refusal" => paragraphs.push(refused(row, now)),
            _ => paragraphs.push(object(row, now)),
        }
    }
    Ok(paragraphs.join("\n\n"))
}

/// Oldest first, the newest 100.
async fn attempts_of(event: &str, remote: &Remote) -> Result<Vec<Attempt>, Failure> {
    let call = Call::get(&["attempts"]).query("webhook_id", event).query("limit", "100");
    match remote.client.send(call).await {
        Ok(answer) => Ok(answer.json::<Attempts>()?.data.into_iter().rev().collect()),
        // The story is worth telling without them.
        Err(RemoteError::Refused(_)) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

fn event(row: &Row, now: OffsetDateTime) -> String {
    let at = row.at.as_deref().unwrap_or_default();
    let (id, title, status) = (printable(&row.id), printable(&row.title), printable(&row.status));
    let accepted = when::distance(at, now);
    let mut text = format!("event {id} ({title}): {status}\n  accepted {} ({accepted})", printable(at));
    if let Some(reason) = &row.reason {
        text.push_str(&next("  ", reason));
    }
    text
}

fn delivery(row: &Row, attempts: &[Attempt], now: OffsetDateTime) -> String {
    let status = row.status.replace('_', " ");
    let mut text = format!("\n  {}: {}", printable(&row.title), printable(&status));
    if let Some(reason) = &row.reason {
        text.push_str(&format!(": {}", printable(reason)));
    }
    if let Some(url) = row.target_url.as_ref().filter(|url| **url != row.title) {
        text.push_str(&format!("\n    to {}", printable(url)));
    }
    let own = |attempt: &&Attempt| Some(&attempt.subscription_id) == row.subscription_id.as_ref();
    for attempt in attempts.iter().filter(own) {
        let code = attempt.status_code.map_or("answered".to_owned(), |code| format!("the receiver answered {code}"));
        let met = attempt.error_message.as_deref().map_or(code.into(), printable);
        let (number, ms) = (attempt.attempt_number, attempt.duration_ms);
        let at = when::distance(&attempt.created_at, now);
        text.push_str(&format!("\n    attempt {number}, {}: {met} ({ms} ms)", printable(&at)));
    }
    if let Some(at) = &row.next_attempt_at {
        text.push_str(&format!("\n    next attempt {}", printable(&when::distance(at, now))));
    }
    text + &row.reason.as_deref().map(|reason| next("    ", reason)).unwrap_or_default()
}

fn refused(row: &Row, now: OffsetDateTime) -> String {
    let at = row.at.as_deref().unwrap_or_default();
    let mut text = format!("refused {} ({}): {}", printable(at), when::distance(at, now), printable(&row.title));
    if let Some(reason) = &row.reason {
        text.push_str(&format!("\n  {}", printable(reason)));
    }
    if let Some(key) = &row.key_id {
        text.push_str(&format!("\n  with the key {}", printable(key)));
    }
    text + &row.reason.as_deref().map(|reason| next("  ", reason)).unwrap_or_default()
}

fn object(row: &Row, now: OffsetDateTime) -> String {
    let [kind, id, title, status] = [&row.kind, &row.id, &row.title, &row.status].map(|text| printable(text));
    let mut text = format!("{kind} {id} ({title}): {status}");
    let at = row.at.as_deref().map(|at| format!("\n  {} ({})", printable(at), when::distance(at, now)));
    text.push_str(&at.unwrap_or_default());
    if let Some(reason) = &row.reason {
        text.push_str(&format!("\n  {}{}", printable(reason), next("  ", reason)));
    }
    if let (Some(event), "attempt") = (&row.webhook_id, row.kind.as_str()) {
        text.push_str(&format!("\n  of the event {}", printable(event)));
    }
    text
}

/// What to do, on a line of its own.
fn next(margin: &str, reason: &str) -> String {
    advice(reason).map(|what| format!("\n{margin}-> {what}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-11-28 12:00 UTC);

    #[test]
    fn a_delivery_is_told_with_its_attempts_and_what_to_do() {
        let row = Row {
            status: "pending".to_owned(),
            reason: Some("http_5xx: the receiver answered 500".to_owned()),
            title: "shop\u{1b}[2J".to_owned(),
            subscription_id: Some("s".to_owned()),
            target_url: Some("https://shop.example.com/".to_owned()),
            next_attempt_at: Some("2026-11-28T12:05:00Z".to_owned()),
            ..Row::default()
        };
        let attempt = |of: &str| Attempt {
            subscription_id: of.to_owned(),
            attempt_number: 1,
            created_at: "2026-11-28T11:59:00Z".to_owned(),
            duration_ms: 12,
            status_code: Some(500),
            error_message: Some("http_5xx: the receiver answered 500".to_owned()),
        };
        let expected = "
  shop\\u{1b}[2J: pending: http_5xx: the receiver answered 500
    to https://shop.example.com/
    attempt 1, 1m ago: http_5xx: the receiver answered 500 (12 ms)
    next attempt in 5m
    -> the receiver failed: look for the event's id in its log";
        assert_eq!(delivery(&row, &[attempt("s"), attempt("another")], NOW), expected);
    }

    #[test]
    fn a_refused_request_is_told_with_its_key() {
        let row = Row {
            reason: Some("unauthenticated: a valid key is needed".to_owned()),
            title: "/events 401".to_owned(),
            at: Some("2026-11-28T11:59:00Z".to_owned()),
            key_id: Some("k".to_owned()),
            ..Row::default()
        };
        let told = refused(&row, NOW);
        assert!(told.starts_with("refused 2026-11-28T11:59:00Z (1m ago): /events 401\n  unauthenticated: "), "{told}");
        assert!(told.contains("\n  with the key k\n  -> "), "{told}");
    }
}
