//! `postrider listen`: a receiver for testing, on loopback only. It prints one block per request on standard output.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{HeaderMap, Request, Response, StatusCode};
use time::OffsetDateTime;
use time::macros::format_description;
use tokio::net::TcpListener;

use crate::domain::duration::parse_duration;
use crate::domain::provider::ProducerHeaders;
use crate::domain::secret::Secret;
use crate::domain::signature::InvalidSignature;
use crate::http::{self, RequestBody, Stopping};

const MAX_BODY_BYTES: usize = 16 << 20;
const SHOWN_CHARACTERS: usize = 500;
const MAX_CONNECTIONS: usize = 1_024;
/// Counting starts again above this.
const MAX_COUNTED: usize = 100_000;

/// How to receive.
#[derive(Debug, Clone, Args)]
pub struct Listen {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 9100)]
    pub port: u16,
    /// Secret of the subscription, to verify signatures with
    #[arg(long, value_name = "whsec_…", value_parser = Secret::parse)]
    pub secret: Option<Secret>,
    /// Status to answer, from 200 to 599
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(200..=599))]
    pub status: u16,
    /// How long to wait before answering, as in 250ms
    #[arg(long, default_value = "0s", value_parser = parse_duration)]
    pub delay: Duration,
    /// Answer 500 to the first N requests of each webhook-id
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub fail_first: u32,
}

#[derive(Debug)]
pub struct Receiver {
    socket: TcpListener,
    rules: Arc<Rules>,
}

#[derive(Debug)]
struct Rules {
    options: Listen,
    seen: Mutex<HashMap<String, u32>>,
}

impl Receiver {
    pub async fn bind(options: Listen) -> std::io::Result<Self> {
        let socket = http::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, options.port)))?;
        Ok(Self { socket, rules: Arc::new(Rules { options, seen: Mutex::default() }) })
    }

    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Runs until it is dropped; `print` gets one block per request.
    pub async fn run(self, print: impl Fn(&str) + Clone + Send + Sync + 'static) {
        let answer = move |request| {
            let (rules, print) = (Arc::clone(&self.rules), print.clone());
            async move { rules.answer(request, print).await }
        };
        http::serve(self.socket, MAX_CONNECTIONS, Stopping::never(), answer).await;
    }
}

impl Rules {
    async fn answer(&self, request: Request<RequestBody>, print: impl Fn(&str)) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let arrived = OffsetDateTime::now_utc();
        let (status, body) = match Limited::new(body, MAX_BODY_BYTES).collect().await {
            Ok(body) => (self.status_for(&head.headers), Some(body.to_bytes())),
            Err(_) => (StatusCode::PAYLOAD_TOO_LARGE, None),
        };
        tokio::time::sleep(self.options.delay).await;
        print(&self.block(&head, body.as_deref(), status, arrived));
        let mut response = Response::new(Full::new(Bytes::from(format!("{}\n", status.as_u16()))));
        *response.status_mut() = status;
        response
    }

    fn status_for(&self, headers: &HeaderMap) -> StatusCode {
        let told = StatusCode::from_u16(self.options.status).expect("the option is a status from 200 to 599");
        let Some(id) = text(headers, "webhook-id").filter(|_| self.options.fail_first > 0) else { return told };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MAX_COUNTED {
            seen.clear();
        }
        let count = seen.entry(id.to_owned()).or_default();
        *count = count.saturating_add(1);
        if *count <= self.options.fail_first { StatusCode::INTERNAL_SERVER_ERROR } else { told }
    }

    fn block(
        &self,
        head: &hyper::http::request::Parts,
        body: Option<&[u8]>,
        status: StatusCode,
        arrived: OffsetDateTime,
    ) -> String {
        let clock = format_description!("[hour]:[minute]:[second].[subsecond digits:3]");
        let time = arrived.format(&clock).expect("a time of day has hours, minutes and seconds");
        let header = |name| printable(text(&head.headers, name).unwrap_or("-"));
        let (method, path) = (&head.method, printable(&head.uri.to_string()));
        let (kind, attempt, id) = (header("x-event-type"), header("x-webhook-attempt"), header("webhook-id"));
        let signature = self.check_signature(&head.headers, body, arrived.unix_timestamp());
        let mut block = format!(
            "{time}  {method} {path}  {kind}  attempt {attempt}  signature {signature}  -> {}\n  webhook-id  {id}\n",
            status.as_u16()
        );
        match body {
            None => writeln!(block, "  body        larger than {MAX_BODY_BYTES} bytes, not read"),
            Some(body) => writeln!(block, "  body        {} ({} bytes)", shown(body), body.len()),
        }
        .expect("writing to a text cannot fail");
        block
    }

    /// Checks every form present. During a rotation only `webhook-signature` has room for all signatures.
    fn check_signature(&self, headers: &HeaderMap, body: Option<&[u8]>, now_unix: i64) -> String {
        let (Some(secret), Some(body)) = (&self.options.secret, body) else { return "not checked".to_owned() };
        let is_rotated = text(headers, "webhook-signature").is_some_and(|items| items.contains(' '));
        let named =
            headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.to_str().ok().map(str::to_owned)));
        let given = ProducerHeaders::new(named);
        let results = ["standard", "github"].map(|form| {
            let signed = given.signed_as().find(|(provider, _)| provider.name == form);
            let (provider, scheme) = signed.ok_or(InvalidSignature::Missing)?;
            scheme.verify(&given, [secret], provider.own_key, body, now_unix)
        });
        match results {
            [Ok(()), Err(InvalidSignature::Wrong)] if is_rotated => "verified by webhook-signature alone".to_owned(),
            [Ok(()), Ok(()) | Err(InvalidSignature::Missing)] | [Err(InvalidSignature::Missing), Ok(())] => {
                "verified".to_owned()
            }
            [Ok(()) | Err(InvalidSignature::Missing), Err(why)] | [Err(why), _] => format!("WRONG: {why}"),
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn shown(body: &[u8]) -> String {
    // A character is at most four bytes: this avoids decoding 16 MiB to show 500 of them.
    let start = body.get(..4 * SHOWN_CHARACTERS).unwrap_or(body);
    let text = printable(&String::from_utf8_lossy(start));
    let cut: String = text.chars().take(SHOWN_CHARACTERS).collect();
    if cut.len() < text.len() || start.len() < body.len() { format!("{cut}…") } else { cut }
}

/// On one line, without control characters for the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_body_is_cut_and_a_terminal_is_not_spoken_to() {
        assert_eq!(shown(b"{\"a\":\n1}"), "{\"a\": 1}");
        assert_eq!(shown(b"\x1b[31m"), " [31m");
        let long = "é".repeat(SHOWN_CHARACTERS + 1);
        assert_eq!(shown(long.as_bytes()).chars().count(), SHOWN_CHARACTERS + 1);
        assert!(shown(&vec![b'x'; MAX_BODY_BYTES]).ends_with("x…"));
    }
}
