//! Where the rows are run: two replicas over one database, two tenants, and what the
//! placeholders name.
//!
//! `first` is the ordinary `serve`, and may deliver to the receiver of the test. `second` is
//! an `api` that allows no targets of its own, as most installations; the rows that name
//! targets go to it, and those with a `setup`, which ask for another replica.

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use hyper::Method;
use serde_json::{Value, json};

use super::request::{Words, connections};
use super::row::Row;
use super::wire::exchange;
use super::{Answered, request};
use crate::support::database::Database;
use crate::support::folder::Folder;
use crate::support::http::Http;
use crate::support::process::{Postrider, Start, program};
use crate::support::receiver::Receiver;

/// The one address that deliveries may reach.
const RECEIVER: [u8; 4] = [127, 8, 8, 8];
const OPEN: [(&str, &str); 3] =
    [("POSTRIDER_AUTH", "keys"), ("POSTRIDER_ALLOW_TARGETS", "127.8.8.8/32"), ("POSTRIDER_LOG", "debug")];
const CLOSED: [(&str, &str); 3] =
    [("POSTRIDER_AUTH", "keys"), ("POSTRIDER_ALLOW_TARGETS", ""), ("POSTRIDER_LOG", "debug")];
const EARLY_LOG: &str = "early.log";
const FIRST_LOG: &str = "first.log";
const SECOND_LOG: &str = "second.log";
/// A secret that a row may sign with.
const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
/// Connections that a burst has open at once: a test must not use up the descriptors of
/// the machine, nor the slots that other rows need.
const BURST_CONNECTIONS: usize = 400;
const EVENT: &str = "{}";

/// The place.
pub(super) struct Fixture {
    pub(super) database: Database,
    pub(super) receiver: Receiver,
    pub(super) words: Words,
    /// Secret of `{sub}`, whose deliveries arrive.
    pub(super) secret: String,
    /// Events and subscriptions that were there before the first row.
    pub(super) events: Vec<String>,
    pub(super) subscriptions: Vec<String>,
    first: Postrider,
    second: Postrider,
    logs: Folder,
}

impl Fixture {
    /// Makes the place, and runs the rows that need it as it is then.
    pub(super) async fn prepare(rows: &[Row]) -> (Self, Vec<Answered<'_>>) {
        let (database, receiver, logs) = (Database::new().await, Receiver::at(RECEIVER).await, Folder::new());
        let start = |command, settings, name| {
            let log = Some(logs.0.join(name));
            Start { settings, log, ..Start::new(command, database.url()) }.ready()
        };
        let (owner, other) = (key(&database, "acme").await, key(&database, "globex").await);
        // There is no worker yet, so what is accepted has a status before any attempt.
        let early = start("api", &OPEN, EARLY_LOG).await;
        let mut words = subscriptions(&early.http_with(&owner), &early.http_with(&other), &receiver).await;
        let secret = words.remove("generated").unwrap();
        let subscriptions = words.values().cloned().collect();
        let acme = early.http_with(&owner);
        words.insert("deleted_sub", id(&subscribe(&acme, &receiver, json!({})).await));
        words.insert("webhook_pending", ingest(&acme, &words["sub"]).await);
        let status = acme.get(&format!("/status/{}", words["webhook_pending"])).await.json();
        assert_eq!((&status["status"], &status["attempts"]), (&json!("pending"), &json!(0)));

        let (first, second) = (start("serve", &OPEN, FIRST_LOG).await, start("api", &CLOSED, SECOND_LOG).await);
        let (acme, globex) = (first.http_with(&owner), first.http_with(&other));
        words.insert("webhook_new", ingest(&acme, &words["sub"]).await);
        words.insert("other_tenant_webhook", ingest(&globex, &words["other_tenant_sub"]).await);
        // The second replica has its copy of what the first one deletes.
        let cancelled = ingest(&second.http_with(&owner), &words["deleted_sub"]).await;
        let path = format!("/subscriptions/{}", words["deleted_sub"]);
        assert_eq!(acme.send(Method::DELETE, &path, &[], Bytes::new()).await.unwrap().status, 200);

        let mut events =
            ["webhook_pending", "webhook_new", "other_tenant_webhook"].map(|name| words[name].clone()).to_vec();
        events.push(cancelled);
        words.insert("missing_id", "0199c5f0-0000-7000-8000-00000000dead".to_owned());
        words.insert("secret", SECRET.to_owned());
        words.insert("host", first.address().to_string());
        words.insert("api_key", owner);
        let place = Self { database, receiver, words, secret, events, subscriptions, first, second, logs };
        let mut answered = Vec::new();
        for row in rows.iter().filter(|row| row.setup.is_some()) {
            answered.push(place.answer(row).await);
        }
        (place, answered)
    }

    /// Runs a row.
    pub(super) async fn answer<'a>(&self, row: &'a Row) -> Answered<'a> {
        let is_second = row.setup.is_some() || row.path.starts_with("/subscriptions");
        let address = if is_second { self.second.address() } else { self.first.address() };
        let at_once = if row.is_burst() { BURST_CONNECTIONS } else { 1 };
        let connections = stream::iter(connections(row, &self.words));
        let replies = connections.map(async |bytes| exchange(address, &bytes).await).buffered(at_once).collect().await;
        Answered { row, replies }
    }

    /// Both replicas, as the owner of `{sub}` sees them.
    pub(super) fn replicas(&self) -> [Http; 2] {
        [&self.first, &self.second].map(|replica| replica.http_with(&self.words["api_key"]))
    }

    /// All that the processes have logged so far.
    pub(super) fn logged(&self) -> String {
        let read = |log| std::fs::read(self.logs.0.join(log)).unwrap();
        [EARLY_LOG, FIRST_LOG, SECOND_LOG].map(|log| String::from_utf8_lossy(&read(log)).into_owned()).concat()
    }

    /// The text with its placeholders filled in.
    pub(super) fn fill(&self, text: &str) -> String {
        request::fill(text, &self.words)
    }
}

async fn key(database: &Database, tenant: &str) -> String {
    let made = program(&format!("keys create --tenant {tenant}"), &database.url()).output().await.unwrap();
    String::from_utf8(made.stdout).unwrap().lines().last().unwrap().to_owned()
}

/// The subscriptions that placeholders name, and the secret that was generated for `{sub}`.
async fn subscriptions(acme: &Http, globex: &Http, receiver: &Receiver) -> Words {
    let sub = subscribe(acme, receiver, json!({})).await;
    Words::from([
        ("sub", id(&sub)),
        ("generated", sub["secret_key"].as_str().unwrap().to_owned()),
        ("sub_signed", id(&subscribe(acme, receiver, json!({ "secret_key": SECRET })).await)),
        ("sub_filtered", id(&subscribe(acme, receiver, json!({ "event_types": ["order.created"] })).await)),
        ("inactive_sub", id(&subscribe(acme, receiver, json!({ "is_active": false })).await)),
        ("other_tenant_sub", id(&subscribe(globex, receiver, json!({})).await)),
    ])
}

async fn subscribe(http: &Http, receiver: &Receiver, fields: Value) -> Value {
    let mut body = json!({ "target_url": receiver.url() });
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let made = http.post("/subscriptions/", &body.to_string()).await;
    assert_eq!(made.status, 201, "{}", made.text());
    made.json()
}

async fn ingest(http: &Http, subscription: &str) -> String {
    let accepted = http.post(&format!("/ingest/{subscription}"), EVENT).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text());
    accepted.json()["webhook_id"].as_str().unwrap().to_owned()
}

fn id(made: &Value) -> String {
    made["id"].as_str().unwrap().to_owned()
}
