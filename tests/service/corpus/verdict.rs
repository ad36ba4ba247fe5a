//! What is judged: each answer, what a row's `check` says, and that nothing else happened.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Answered;
use super::place::Fixture;
use super::request::connections;
use super::row::Row;
use super::wire::Reply;
use crate::support::receiver::Arrived;
use crate::support::wait::until;

/// Longest refusal, in bytes.
const LONGEST_PROBLEM: usize = 4_096;
/// Longest that a row may take; the corpus says 1 s, which a machine that is busy with
/// other tests does not always keep.
const QUICK: Duration = Duration::from_secs(10);
/// The same for the rows that wait for a limit of the service, of which the longest is 30 s.
const SLOW: Duration = Duration::from_secs(40);
/// Every whole problem has these.
const PROBLEM_FIELDS: [&str; 6] = ["type", "title", "status", "detail", "code", "request_id"];
/// What a reader of the protocol may answer, before there is a request to identify.
const WIRE_STATUSES: [u16; 3] = [400, 414, 431];
/// Stands in what rows send as a secret, and nowhere else.
const CANARY: &str = "CANARY";

/// How a row's `check` is seen to.
#[derive(Debug, PartialEq, Eq)]
enum Check {
    /// By what is judged of every row, or by the ledger.
    Always,
    /// The receiver gets the bytes, with a signature that a stranger's library accepts.
    Arrives,
    /// The secret of what was created is never shown again.
    Masked,
    /// The signature is that of the payload's own bytes.
    Signed,
}

impl Check {
    fn of(sentence: &str) -> Option<Self> {
        let starts = |beginnings: &[&str]| beginnings.iter().any(|beginning| sentence.starts_with(beginning));
        if starts(&["receiver gets these exact bytes", "bytes arrive as sent"]) {
            return Some(Self::Arrives);
        }
        if starts(&["secret, if any, appears in this one response only"]) {
            return Some(Self::Masked);
        }
        if starts(&["answer verifies with a third-party library", "signature equals HMAC over the raw bytes"]) {
            return Some(Self::Signed);
        }
        let always = [
            "no row",
            "object still there",
            "subscription still there",
            "one row, one delivery",
            "under 1 s",
            "process still alive",
            "response body and logs do not contain CANARY",
            "ended within the body-read deadline",
            "closed within 30 s",
            "every 2xx is a durable row",
        ];
        starts(&always).then_some(Self::Always)
    }
}

/// What is wrong with the answers to a row.
pub(super) fn answers(place: &Fixture, answered: &Answered<'_>) -> Vec<String> {
    let row = answered.row;
    let judged = if row.is_burst() { &answered.replies[..] } else { answered.replies.last_chunk::<1>().unwrap() };
    let limit = if row.is_slow() { SLOW } else { QUICK };
    let misfits = judged.iter().filter_map(|reply| {
        let misfit = match reply {
            Some(reply) => misfit(place, row, reply, limit)?,
            // The header never came to its end, so there is nothing to answer.
            None if row.is_slow() && row.allows(408) => return None,
            None => "closed without an answer".to_owned(),
        };
        let got = reply.as_ref().map_or_else(String::new, |reply| format!("got {}: {}", reply.status, reply.excerpt()));
        Some(format!("{}: {misfit}; want {:?} ({}) {got}", row.name, row.expect.status, row.expect.reason))
    });
    let mut misfits: Vec<String> = misfits.collect();
    // Of a burst, the same said once is enough.
    misfits.dedup();
    misfits
}

fn misfit(place: &Fixture, row: &Row, reply: &Reply, limit: Duration) -> Option<String> {
    if !row.allows(reply.status) || !row.expect.class.contains(&format!("{}xx", reply.status / 100)) {
        return Some("wrong status".to_owned());
    }
    if reply.took > limit {
        return Some(format!("took {} s", reply.took.as_secs()));
    }
    if matches!(reply.status, 429 | 503) && reply.header("retry-after").is_none() {
        return Some("no Retry-After".to_owned());
    }
    let said = reply.all();
    if said.contains(CANARY) || said.contains(&place.words["api_key"]) {
        return Some("says a secret".to_owned());
    }
    if reply.status < 400 || row.method == "HEAD" {
        return None;
    }
    let is_bare = row.is_wire() && WIRE_STATUSES.contains(&reply.status) && reply.header("x-request-id").is_none();
    if is_bare {
        let is_ended = reply.body.is_empty() && reply.header("connection") == Some("close");
        return (!is_ended).then(|| "neither a problem nor an ended connection".to_owned());
    }
    not_a_problem(place, reply).map(str::to_owned)
}

fn not_a_problem(place: &Fixture, reply: &Reply) -> Option<&'static str> {
    let problem = reply.json();
    if reply.header("content-type") != Some("application/problem+json") {
        return Some("no problem+json");
    }
    if PROBLEM_FIELDS.iter().any(|field| problem[field].is_null()) || problem["status"] != reply.status {
        return Some("not a whole problem");
    }
    if problem["request_id"].as_str() != reply.header("x-request-id") {
        return Some("two request ids");
    }
    if reply.body.len() > LONGEST_PROBLEM {
        return Some("a long answer");
    }
    reply.all().contains(&place.words["secret"]).then_some("says the secret")
}

/// What is wrong with what the rows did, by their `check`.
pub(super) async fn effects(place: &Fixture, answered: &[Answered<'_>]) -> Vec<String> {
    let mut misfits = Vec::new();
    for Answered { row, replies } in answered {
        let Some(sentence) = &row.expect.check else { continue };
        let reply = replies.last().and_then(Option::as_ref);
        let seen_to = match (Check::of(sentence), reply) {
            (None, _) => false,
            (Some(Check::Always), _) => true,
            (Some(Check::Arrives), Some(reply)) if reply.status == 202 => arrives(place, row, &reply.json()).await,
            (Some(Check::Masked), Some(reply)) => is_masked(place, &reply.json()).await,
            (Some(Check::Signed), Some(reply)) => is_signed(row, &reply.json()),
            (Some(_), _) => false,
        };
        if !seen_to {
            misfits.push(format!("{}: check failed or unknown: {sentence}", row.name));
        }
    }
    misfits
}

async fn arrives(place: &Fixture, row: &Row, accepted: &Value) -> bool {
    let sent = connections(row, &place.words).pop().unwrap().parts.pop().unwrap();
    let is_it = |arrived: &Arrived| arrived.header("webhook-id") == accepted["webhook_id"];
    let arrived = until("the event arrived", async || place.receiver.requests().into_iter().find(is_it)).await;
    let stranger = standardwebhooks::Webhook::new(&place.secret).unwrap();
    arrived.body == sent && stranger.verify(&arrived.body, &arrived.headers).is_ok()
}

async fn is_masked(place: &Fixture, created: &Value) -> bool {
    let path = format!("/subscriptions/{}", created["id"].as_str().unwrap());
    let [first, second] = place.replicas();
    let (first, second) = tokio::join!(first.get(&path), second.get(&path));
    [first, second].iter().all(|answer| answer.json()["secret_key"] == "********")
}

fn is_signed(row: &Row, answer: &Value) -> bool {
    #[derive(Deserialize)]
    struct Asked<'a> {
        #[serde(borrow)]
        payload: &'a RawValue,
        secret_key: &'a str,
    }
    let body = row.body();
    let asked: Asked<'_> = serde_json::from_slice(&body).unwrap();
    let fields = answer["headers"].as_object().unwrap();
    let field = |(name, value): (&String, &Value)| (name.parse().unwrap(), value.as_str().unwrap().parse().unwrap());
    let headers = fields.iter().map(field).collect();
    let stranger = standardwebhooks::Webhook::new(asked.secret_key).unwrap();
    stranger.verify(asked.payload.get().as_bytes(), &headers).is_ok()
}

/// What is wrong with the whole: the database holds what was promised and nothing else, the
/// logs are silent about secrets, and both replicas still answer.
pub(super) async fn ledger(place: &Fixture, answered: &[Answered<'_>]) -> Vec<String> {
    let mut misfits = Vec::new();
    let promised = |status: u16, field: &'static str| {
        let replies = answered.iter().flat_map(|each| each.replies.iter().flatten());
        let promises =
            replies.filter(move |reply| reply.status == status).map(move |reply| reply.json()[field].clone());
        promises.filter_map(|id| id.as_str().map(str::to_owned))
    };
    let events: BTreeSet<_> = promised(202, "webhook_id").chain(place.events.clone()).collect();
    compare(place, "events", "select id::text from events", &events, &mut misfits).await;
    let deliveries = "select event_id::text from all_deliveries";
    compare(place, "deliveries", deliveries, &events, &mut misfits).await;

    let mut subscriptions: BTreeSet<_> = promised(201, "id").chain(place.subscriptions.clone()).collect();
    for each in answered.iter().filter(|each| each.row.is_destructive()) {
        if each.replies.iter().flatten().any(|reply| reply.status == 200) {
            subscriptions.remove(place.fill(&each.row.path).trim_start_matches("/subscriptions/"));
        }
    }
    let untouched = "select id::text from subscriptions where deleted_at is null and version = 1";
    compare(place, "untouched subscriptions", untouched, &subscriptions, &mut misfits).await;

    let logged = place.logged();
    let secrets = [CANARY, &place.words["secret"], &place.words["api_key"], &place.secret, "panicked"];
    misfits.extend(secrets.iter().filter(|secret| logged.contains(**secret)).map(|secret| format!("logged: {secret}")));
    let log = format!("/status/logs/{}?include=payload", place.words["sub"]);
    for replica in place.replicas() {
        let answer = replica.send(Method::GET, &log, &[], Bytes::new()).await;
        let rows = answer.map(|answer| answer.json()["data"].as_array().map_or(0, Vec::len)).unwrap_or_default();
        if rows == 0 {
            misfits.push("a replica does not show the log any more".to_owned());
        }
    }
    misfits
}

async fn compare(place: &Fixture, what: &str, query: &str, promised: &BTreeSet<String>, misfits: &mut Vec<String>) {
    let rows = place.database.client().await.query(query, &[]).await.unwrap();
    let found: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
    let missing: Vec<_> = promised.difference(&found).take(5).collect();
    let unpromised: Vec<_> = found.difference(promised).take(5).collect();
    if !missing.is_empty() || !unpromised.is_empty() || rows.len() != found.len() {
        misfits.push(format!("{what}: {}", json!({ "missing": missing, "nobody's": unpromised, "rows": rows.len() })));
    }
}
