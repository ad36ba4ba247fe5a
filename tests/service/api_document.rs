//! The OpenAPI document shows what a running server answers: every operation has an example that was recorded from one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::api::TestApi;
use crate::support::receiver::Receiver;
use postrider::domain::api_key::Scope;

const RECORDED: &str = "src/api/docs/examples.json";

/// Requests and answers by operation.
struct Recorder<'a> {
    api: &'a TestApi,
    key: String,
    tenant: Option<&'static str>,
    examples: Map<String, Value>,
}

impl Recorder<'_> {
    async fn record(&mut self, operation: &str, method: &str, path: &str, body: Option<Value>) -> Value {
        let mut ask = self.api.ask(method, path).key(&self.key);
        if let Some(tenant) = self.tenant {
            ask = ask.header("postrider-tenant", tenant);
        }
        if operation == "ingest" || operation == "publish" {
            ask = ask.header("x-event-type", "order.created");
        }
        if let Some(body) = &body {
            ask = ask.json(body);
        }
        let answer = ask.send().await;
        assert!(answer.status.is_success(), "{operation}: {answer:?}");
        let mut example = json!({ "status": answer.status.as_u16(), "response": answer.json() });
        example.as_object_mut().unwrap().extend(body.map(|body| ("request".to_owned(), body)));
        let before = self.examples.insert(operation.to_owned(), example);
        assert!(before.is_none(), "{operation} is recorded twice");
        answer.json()
    }
}

/// An attempt of each kind, as a worker would record it.
const ATTEMPTS: &str = r#"insert into attempts (tenant_id, subscription_id, id, event_id, event_type, attempt_number, outcome,
        status_code, error_message, response_body, duration_ms, created_at, trigger, remote_address, detail)
    select s.tenant_id, s.id, uuid_v7_floor(now() - a.ago), e.id, e.event_type, a.number, a.outcome, a.code, a.message,
        a.body::bytea, a.millis, now() - a.ago, a.trigger, '203.0.113.7', a.detail::jsonb
    from subscriptions s, (select * from events order by id limit 1) e, (values
        (1, 'http_5xx', 500::smallint, 'http_5xx: the receiver answered 500', 'try later', 31, interval '5 seconds', null,
            '{"url": "https://example.com/hook",
              "request": {"host": "example.com", "content-type": "application/json", "content-length": "11",
                  "user-agent": "postrider/0.1.0", "webhook-id": "0199c5f0-0000-7000-8000-0000000000aa",
                  "webhook-timestamp": "1790000000", "webhook-signature": "v1,********",
                  "x-hub-signature-256": "sha256=********", "webhook-hops": "1", "x-webhook-attempt": "1",
                  "x-event-type": "order.created", "x-api-key": "********"},
              "response": {"server": "nginx", "content-type": "text/plain", "set-cookie": ["a=1", "b=2"]},
              "timing": {"dns_ms": 1.204, "connect_ms": 5.113, "tls_ms": 11.02, "first_byte_ms": 13.4, "total_ms": 31.2},
              "worker": "0199c5f0-0000-7000-8000-0000000000bb"}'),
        (2, 'delivered', 200::smallint, null, 'ok', 12, interval '1 second', 'schedule', null)
    ) as a (number, outcome, code, message, body, millis, ago, trigger, detail)
    where s.deleted_at is null and s.tenant_id = e.tenant_id
    order by a.number"#;

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_has_an_example_that_a_server_gave() {
    let api = TestApi::start().await;
    let operator = api.operator(Scope::Admin).await;
    let mut recorder = Recorder { api: &api, key: operator, tenant: None, examples: Map::new() };
    tenants_and_keys(&mut recorder).await;
    operations(&mut recorder).await;
    recorder.tenant = Some("acme-2");
    let subscription = subscriptions(&mut recorder).await;
    event_types(&mut recorder).await;
    events(&mut recorder, &subscription).await;
    let tried = json!({ "filter": { "order": { "$gte": 7 } }, "event_types": ["order.*"], "last": 1_000 });
    recorder.record("test_filter", "POST", "/subscriptions/filter-test", Some(tried)).await;
    recorder.record("delete_event_type", "DELETE", "/event-types/order.created", None).await;
    replays(&mut recorder, &subscription).await;
    refusals(&mut recorder, &subscription).await;
    let receiver = Receiver::new().await;
    let to = format!("update subscriptions set target_url = '{}'", receiver.url());
    api.database.client().await.batch_execute(&to).await.unwrap();
    let test = json!({ "event_type": "order.created", "payload": { "order": 7 } });
    recorder.record("test_subscription", "POST", &format!("/subscriptions/{subscription}/test"), Some(test)).await;
    analytics(&mut recorder).await;
    recorder.record("cancel_held", "POST", &format!("/subscriptions/{subscription}/cancel-held"), None).await;
    recorder.record("delete_subscription", "DELETE", &format!("/subscriptions/{subscription}"), None).await;
    recorder.record("list_audit", "GET", "/audit?action=subscription.deleted", None).await;
    recorder.tenant = None;
    recorder.record("delete_tenant", "DELETE", "/tenants/acme-2", None).await;

    let mut recorded = Value::Object(recorder.examples);
    Anonymous::default().pass(&mut recorded, "");
    // The tenant of the tests is acme already.
    let text = format!("{recorded:#}\n").replace("acme-2", "acme").replace(&receiver.url(), "https://example.com/hook");
    let host = receiver.url().replace("http://", "").replace("/hook", "");
    let text = text.replace(&host, "example.com").replace("127.0.0.1", "203.0.113.7");
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(RECORDED);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(kept == text, "{RECORDED} is not what a server answers; UPDATE_SNAPSHOTS=1 records it again:\n{text}");
    let document: Value = serde_json::from_str(&postrider::api::openapi_document()).unwrap();
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
    for operation in operations {
        let id = operation["operationId"].as_str().unwrap();
        assert!(recorded[id].is_object(), "{id} has no example: record it above");
    }
}

async fn refusals(recorder: &mut Recorder<'_>, subscription: &str) {
    let ask = recorder.api.ask("POST", &format!("/ingest/{subscription}")).key(&recorder.key);
    let ask = ask.header("postrider-tenant", "acme-2").header("x-event-type", "user.created");
    let refused = ask.json(&json!({ "order": "order-4711" })).send().await;
    assert_eq!(refused.code(), "event_type_not_wanted");
    recorder.record("list_refusals", "GET", "/refusals?code=event_type_not_wanted", None).await;
    recorder.record("search", "GET", "/search?q=order-4711", None).await;
}

async fn tenants_and_keys(recorder: &mut Recorder<'_>) {
    let limits = json!({ "max_subscriptions": 1_000, "publish_per_second": 500 });
    let tenant = json!({ "name": "Acme", "external_id": "acme-2", "metadata": { "plan": "pro" }, "limits": limits });
    recorder.record("create_tenant", "POST", "/tenants", Some(tenant)).await;
    recorder.record("put_tenant", "PUT", "/tenants/acme-2", Some(json!({ "name": "Acme Ltd" }))).await;
    let limits = json!({ "limits": { "publish_per_second": 50 } });
    recorder.record("change_tenant", "PATCH", "/tenants/acme-2", Some(limits)).await;
    recorder.record("read_tenant", "GET", "/tenants/acme-2", None).await;
    recorder.record("list_tenants", "GET", "/tenants?external_id=acme-2", None).await;
    let key = json!({ "name": "ci", "tenant": "acme-2", "scope": "publish" });
    let key = recorder.record("create_key", "POST", "/keys", Some(key)).await;
    recorder.record("list_keys", "GET", "/keys?tenant=acme-2", None).await;
    recorder.record("revoke_key", "DELETE", &format!("/keys/{}", key["id"].as_str().unwrap()), None).await;
    let session = json!({ "tenant": "acme-2", "capabilities": ["read", "manage"], "expires_in": 3_600 });
    let session = recorder.record("create_portal_session", "POST", "/portal-sessions", Some(session)).await;
    let operator = std::mem::replace(&mut recorder.key, session["token"].as_str().unwrap().to_owned());
    recorder.record("read_me", "GET", "/me", None).await;
    recorder.key = operator;
}

/// As a deployment of two processes shows it.
async fn operations(recorder: &mut Recorder<'_>) {
    let replicas = "insert into replicas (id, role, version, started_at, heartbeat_at, lease_seconds, backlog)
        values (uuid_v7(), 'api', '0.1.0', now() - interval '2 hours', now(), 0, 0),
            (uuid_v7(), 'worker', '0.1.0', now() - interval '1 hour', now(), 25, 12)";
    recorder.api.database.client().await.batch_execute(replicas).await.unwrap();
    recorder.record("read_operations", "GET", "/operations", None).await;
    let example = &mut recorder.examples["read_operations"]["response"];
    example["queue"] = json!({ "pending": 1_204, "dead_rows": 310, "table_bytes": 1_310_720, "index_bytes": 983_040 });
    example["database"] = json!({ "version": "15.8", "connections": 31, "max_connections": 100 });
    example["outbox"] = json!({ "waiting": 2, "waiting_more": false, "lag_seconds": 0.031 });
    example["oldest_transaction"] = json!({ "kind": "transaction", "name": "48113",
        "detail": "a report of analyst, idle in transaction", "seconds": 412.5 });
    let partitions = example["partitions"].as_array_mut().unwrap();
    partitions.truncate(2);
    for partition in partitions {
        partition["name"] = format!("{}_20261128", partition["table"].as_str().unwrap()).into();
        partition["bytes"] = json!(48_234_496);
    }
}

async fn subscriptions(recorder: &mut Recorder<'_>) -> String {
    let filter = json!({ "data": { "amount": { "$gt": 100 } } });
    let form = json!({ "target_url": "https://example.com/hook", "event_types": ["order.created", "invoice.*"], "filter": filter, "description": "orders" });
    let made = recorder.record("create_subscription", "POST", "/subscriptions/", Some(form)).await;
    let id = made["id"].as_str().unwrap().to_owned();
    let path = format!("/subscriptions/{id}");
    recorder.record("read_subscription", "GET", &path, None).await;
    recorder.record("list_subscriptions", "GET", "/subscriptions/", None).await;
    let form =
        json!({ "target_url": "https://example.com/hook/2", "event_types": ["order.created"], "rate_limit": 50 });
    recorder.record("replace_subscription", "PUT", &path, Some(form)).await;
    recorder.record("change_subscription", "PATCH", &path, Some(json!({ "description": "paid orders" }))).await;
    let overlap = json!({ "overlap_seconds": 86_400 });
    recorder.record("rotate_secret", "POST", &format!("{path}/rotate-secret"), Some(overlap)).await;
    let signed = json!({ "payload": { "x": 1 }, "secret_key": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD" });
    recorder.record("generate_signature", "POST", "/subscriptions/generate-signature", Some(signed)).await;
    id
}

async fn event_types(recorder: &mut Recorder<'_>) {
    let schema = json!({ "type": "object", "required": ["order"], "properties": { "order": { "type": "integer" } } });
    let form =
        json!({ "description": "An order was created", "schema": schema, "example": { "order": 7 }, "validate": true });
    recorder.record("put_event_type", "PUT", "/event-types/order.created", Some(form)).await;
    recorder.record("read_event_type", "GET", "/event-types/order.created", None).await;
    recorder.record("list_event_types", "GET", "/event-types", None).await;
}

async fn events(recorder: &mut Recorder<'_>, subscription: &str) {
    let payload = || Some(json!({ "order": 7 }));
    let first = recorder.record("ingest", "POST", &format!("/ingest/{subscription}"), payload()).await;
    recorder.record("publish", "POST", "/events", payload()).await;
    let good = json!({ "event_type": "order.created", "payload": { "order": 8 }, "idempotency_key": "order-8" });
    let bad = json!({ "event_type": "order.created", "payload": { "order": 9 }, "idempotency_key": "order-8" });
    recorder.record("publish_batch", "POST", "/events/batch", Some(json!({ "events": [good, bad] }))).await;
    recorder.api.database.client().await.batch_execute(ATTEMPTS).await.unwrap();
    let event = first["webhook_id"].as_str().unwrap();
    recorder.record("read_status", "GET", &format!("/status/{event}"), None).await;
    let log = recorder.record("list_logs", "GET", &format!("/status/logs/{subscription}"), None).await;
    let failed = log["data"][1]["id"].as_str().unwrap();
    recorder.record("read_attempt", "GET", &format!("/attempts/{failed}"), None).await;
    recorder.record("read_event", "GET", &format!("/events/{event}"), None).await;
    recorder.record("list_event_deliveries", "GET", &format!("/events/{event}/deliveries"), None).await;
    recorder.record("list_events", "GET", "/events?status=pending&limit=1", None).await;
    recorder.record("read_payload", "GET", &format!("/events/{event}/payload"), None).await;
    recorder.record("list_attempts", "GET", "/attempts?status_code=5xx", None).await;
    recorder.record("list_event_attempts", "GET", &format!("/events/{event}/attempts?limit=1"), None).await;
    let only = json!({ "status": ["failed"], "event_type": ["order.refunded"] });
    recorder
        .record("retry_deliveries", "POST", "/deliveries/retry", Some(json!({ "only": only, "dry_run": true })))
        .await;
    let only = json!({ "status": ["held"], "event_type": ["order.refunded"] });
    recorder.record("cancel_deliveries", "POST", "/deliveries/cancel", Some(json!({ "only": only }))).await;
    recorder.record("list_deliveries", "GET", "/deliveries?status=pending", None).await;
    recorder.record("cancel_event", "POST", &format!("/events/{event}/cancel"), None).await;
    recorder
        .record("retry_event", "POST", &format!("/events/{event}/retry?subscription_id={subscription}"), None)
        .await;
}

async fn replays(recorder: &mut Recorder<'_>, subscription: &str) {
    let form = json!({ "subscription_id": subscription, "statuses": ["failed", "expired"], "since": "2026-11-23T18:00:00Z", "rate": 50 });
    let replay = recorder.record("create_replay", "POST", "/replays", Some(form)).await;
    let path = format!("/replays/{}", replay["id"].as_str().unwrap());
    recorder.record("read_replay", "GET", &path, None).await;
    recorder.record("list_replays", "GET", "/replays", None).await;
    recorder.record("cancel_replay", "POST", &format!("{path}/cancel"), None).await;
}

/// Of a duration.
const PARTS: [&str; 5] = ["dns_ms", "connect_ms", "tls_ms", "first_byte_ms", "total_ms"];
/// Roll-ups that were folded at a time.
const ROLLED_UP: &str =
    "insert into rollup_hours (tenant_id, at, outcome, accepted, attempts, started, first_attempt, delivery)
    select t.id, AT, r.outcome, r.accepted, r.attempts, r.attempts, r.first, r.delivery
    from tenants as t, (values
        ('', 120, 0, '{}'::bigint[], '{}'::bigint[]),
        ('delivered', 0, 117, array[256 * 100 + 16, 256 * 17 + 20], array[256 * 100 + 40, 256 * 17 + 52]),
        ('http_5xx', 0, 3, array[256 * 3 + 16], '{}')
    ) as r (outcome, accepted, attempts, first, delivery)
    where t.external_id = 'acme-2'";

async fn analytics(recorder: &mut Recorder<'_>) {
    let client = recorder.api.database.client().await;
    client.batch_execute(&ROLLED_UP.replace("AT", "date_bin('1 day', now(), 'epoch')")).await.unwrap();
    let minutes = ROLLED_UP.replace("rollup_hours", "rollup_minutes").replace("AT", "now() - interval '10 minutes'");
    client.batch_execute(&minutes).await.unwrap();
    let waited = "insert into queue_depth_hours (tenant_id, at, pending, held, is_cut)
        select '00000000-0000-0000-0000-000000000000', date_bin('1 day', now(), 'epoch'), 4, 1, false";
    client.batch_execute(waited).await.unwrap();
    let before = |before: Duration| (OffsetDateTime::now_utc() - before).format(&Rfc3339).unwrap();
    let path = format!("/analytics/deliveries?since={}&bucket=1d", before(Duration::seconds(1)));
    recorder.record("analyse_deliveries", "GET", &path, None).await;
    let since = before(Duration::minutes(30));
    let example = json!({ "status": 200, "response": stream(recorder).await });
    recorder.examples.insert("stream".to_owned(), example);
    recorder.record("summarise_deliveries", "GET", &format!("/analytics/summary?since={since}"), None).await;
}

/// The id of an event of a stream.
fn an_hour_ago() -> String {
    let micros = (OffsetDateTime::now_utc() - Duration::hours(1)).unix_timestamp() * 1_000_000;
    let bytes = [&[1, 1, 0, 0, 0, 0][..], &micros.to_be_bytes(), &[0; 32]].concat();
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The first events of a stream for a client that comes back.
async fn stream(recorder: &Recorder<'_>) -> String {
    let mut stream = TcpStream::connect(recorder.api.address).await.unwrap();
    let request = format!(
        "GET /stream?status=succeeded HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\npostrider-tenant: acme-2\r\n\
         last-event-id: {}\r\n\r\n",
        recorder.key,
        an_hour_ago()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    while text.matches("data: ").count() < 2 {
        let mut bytes = [0; 4_096];
        let read = stream.read(&mut bytes).await.unwrap();
        assert!(read > 0, "{text}");
        text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
    let mut frames = String::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("event: ") {
            frames.push_str(&format!("id: AQIABkRk1YB0\nevent: {name}\n"));
        }
        if let Some(data) = line.strip_prefix("data: ") {
            let mut data: Value = serde_json::from_str(data).unwrap();
            Anonymous::default().pass(&mut data, "");
            frames.push_str(&format!("data: {data}\n\n"));
        }
    }
    frames
}

/// Replaces what differs from run to run by one value for each.
#[derive(Default)]
struct Anonymous {
    ids: Vec<String>,
}

impl Anonymous {
    fn pass(&mut self, value: &mut Value, name: &str) {
        match value {
            Value::Object(fields) => fields.iter_mut().for_each(|(name, value)| self.pass(value, name)),
            Value::Array(entries) => entries.iter_mut().for_each(|entry| self.pass(entry, name)),
            Value::String(text) => self.replace(text, name),
            Value::Number(_) if name == "duration_ms" => *value = json!(31),
            Value::Number(_) if PARTS.contains(&name) => *value = json!(1.204),
            _ => {}
        }
    }

    fn replace(&mut self, text: &mut String, name: &str) {
        if name == "date" {
            "Sat, 28 Nov 2026 12:00:00 GMT".clone_into(text);
        }
        let is_time = text.len() == 27 && text.ends_with('Z') && text.contains('T');
        let is_id = text.len() == 36 && text.bytes().filter(|byte| *byte == b'-').count() == 4;
        if is_time {
            "2026-11-28T12:00:00.482113Z".clone_into(text);
        } else if is_id {
            let known = self.ids.iter().position(|id| id == text);
            let number = known.unwrap_or_else(|| {
                self.ids.push(text.clone());
                self.ids.len() - 1
            });
            *text = format!("0199c5f0-0000-7000-8000-{:012}", number + 1);
        } else if name == "key" && text.starts_with("prk_") {
            // Not a whole key, so that nobody tries it.
            "prk_0199c5f0…".clone_into(text);
        } else if name == "token" && text.starts_with("prp_") {
            "prp_0199c5f0…".clone_into(text);
        } else if name == "url" && text.contains("/#token=") {
            "https://hooks.example.com/#token=prp_0199c5f0…".clone_into(text);
        } else if text.starts_with("whsec_") {
            "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD".clone_into(text);
        } else if name == "next_cursor" {
            // Which list it is of stays.
            *text = format!("{}GiJDNxuAAAAAAAAAAAAAA", &text[..2]);
        } else if name == "webhook-timestamp" {
            "1790000000".clone_into(text);
        } else if name == "webhook-signature" && !text.contains('*') {
            // Of the timestamp above.
            SIGNATURE.clone_into(text);
        }
    }
}

/// `msg_example.1790000000.{"x":1}` under the secret of the example.
const SIGNATURE: &str = "v1,ZIdMsaoNfbhAUyF5yQjgOgxJyONZbz+3QlXYHbxnfRU=";
