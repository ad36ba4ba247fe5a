//! The API on a real listener, over a database of its own.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use postrider::api::{Api, ApiSettings, OperationsSettings, PortalSettings, Refusals, ShownSetting, serve};
use postrider::domain::actor::Actor;
use postrider::domain::address::AddressPolicy;
use postrider::domain::api_key::Scope;
use postrider::domain::detail::KeepDetail;
use postrider::domain::keyring::Keyring;
use postrider::domain::target::TargetPolicy;
use postrider::domain::tester::Tester;
use postrider::http::Stopping;
use postrider::intake::{Intake, IntakeParts, Notifier};
use postrider::sender::{Sender, SenderConfig};
use postrider::store::{Clock, MadeKey, NewKey, Store, StoreConfig};
use postrider::subscriptions::Subscriptions;
use postrider::supervisor::Supervisor;
use postrider::telemetry::Metrics;
use postrider::tenants::Tenants;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::contract;
use super::database::Database;

/// How long a raw connection is listened to.
const RAW_LIMIT: Duration = Duration::from_secs(20);

/// A running API.
pub(crate) struct TestApi {
    pub(crate) database: Database,
    pub(crate) store: Store,
    pub(crate) shutdown: CancellationToken,
    pub(crate) address: std::net::SocketAddr,
    /// Of the tenant `acme`.
    pub(crate) admin: String,
    client: Client<HttpConnector, Full<Bytes>>,
    _stop: DropGuard,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    /// The body as JSON; null where it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The `code` of a problem, after checking that it is a whole one.
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        assert_eq!(self.json()["status"], self.status.as_u16(), "{self:?}");
        assert_eq!(self.json()["request_id"], self.headers["x-request-id"].to_str().unwrap(), "{self:?}");
        self.json()["code"].as_str().unwrap().to_owned()
    }
}

/// A request in the making.
pub(crate) struct Ask<'a> {
    api: &'a TestApi,
    request: hyper::http::request::Builder,
    body: Bytes,
}

impl TestApi {
    /// An API that needs keys.
    pub(crate) async fn start() -> Self {
        Self::start_with(true).await
    }

    /// An API that needs keys or not.
    pub(crate) async fn start_with(auth_required: bool) -> Self {
        let database = Database::new().await;
        let served = database.store();
        let api = api_over(&served, auth_required);
        Self::start_over(database, api).await
    }

    /// An API that needs keys, with other limits.
    pub(crate) async fn start_limited(limit: impl FnOnce(&mut ApiSettings)) -> Self {
        let database = Database::new().await;
        let mut api = api_over(&database.store(), true);
        limit(&mut api.settings);
        Self::start_over(database, api).await
    }

    /// An API whose database is away.
    pub(crate) async fn start_without_database(auth_required: bool) -> Self {
        let url = "postgres://postgres@%2Fnowhere/nothing".to_owned();
        let away = Store::new(&StoreConfig {
            url,
            direct_url: None,
            tls: Default::default(),
            schema: "public".to_owned(),
            prepare: true,
            pool_size: 6,
        })
        .unwrap();
        Self::start_over(Database::new().await, api_over(&away, auth_required)).await
    }

    async fn start_over(database: Database, api: Api) -> Self {
        let store = database.store();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let (announced, closing) = (shutdown.clone(), shutdown.clone());
        let stopping = Stopping { announced, closing, drain: Duration::from_secs(5) };
        tokio::spawn(serve(listener, api, stopping, Supervisor::new(shutdown.clone())));
        let admin = made_key(&store, "acme", Scope::Admin).await.text;
        let client = Client::builder(TokioExecutor::new()).build_http();
        let _stop = shutdown.clone().drop_guard();
        Self { database, store, shutdown, address, admin, client, _stop }
    }

    /// A request with the administrator's key.
    pub(crate) fn ask<'a>(&'a self, method: &str, path: &str) -> Ask<'a> {
        self.stranger(method, path).header("authorization", &format!("Bearer {}", self.admin))
    }

    /// A request without a key.
    pub(crate) fn stranger<'a>(&'a self, method: &str, path: &str) -> Ask<'a> {
        let request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        Ask { api: self, request, body: Bytes::new() }
    }

    /// A key of another scope or tenant.
    pub(crate) async fn key(&self, tenant: &str, scope: Scope) -> String {
        made_key(&self.store, tenant, scope).await.text
    }

    /// An operator key.
    pub(crate) async fn operator(&self, scope: Scope) -> String {
        let wanted = NewKey { tenant: None, name: None, scope, expires_at: None };
        self.store.create_api_key(&wanted, &Actor::COMMAND).await.unwrap().unwrap().text
    }

    /// A subscription made over the API; its answer.
    pub(crate) async fn subscribe(&self, fields: Value) -> Value {
        let mut body = json!({ "target_url": "https://hooks.example.com/in" });
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let made = self.ask("POST", "/subscriptions/").json(&body).send().await;
        assert_eq!(made.status, 201, "{made:?}");
        made.json()
    }

    /// Bytes as they are on a fresh connection; what comes back until it is closed.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let reading = tokio::time::timeout(RAW_LIMIT, stream.read_to_end(&mut answer));
        let _closed_or_reset = reading.await.expect("the connection is closed in time");
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Ask<'_> {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub(crate) fn key(mut self, key: &str) -> Self {
        self.request.headers_mut().unwrap().remove("authorization");
        self.header("authorization", &format!("Bearer {key}"))
    }

    /// A JSON body of exactly these bytes.
    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header("content-type", "application/json")
    }

    /// Bytes of no declared type.
    pub(crate) fn bytes(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.body(body.to_string())
    }

    pub(crate) async fn send(self) -> Answer {
        let request = self.request.body(Full::new(self.body)).unwrap();
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let (head, body) = self.api.client.request(request).await.unwrap().into_parts();
        assert!(head.headers.contains_key("x-request-id"), "{head:?}");
        let content_type = head.headers.get("content-type").map_or("", |value| value.to_str().unwrap());
        // An answer that never ends.
        let is_stream = content_type == contract::EVENT_STREAM;
        let text = if is_stream { Bytes::new() } else { body.collect().await.unwrap().to_bytes() };
        let text = String::from_utf8(text.to_vec()).unwrap();
        contract::check(method.as_str(), &path, head.status.as_u16(), content_type, &text);
        Answer { status: head.status, headers: head.headers, text }
    }
}

/// A key of this tenant, which is made where there is none.
pub(crate) async fn made_key(store: &Store, tenant: &str, scope: Scope) -> MadeKey {
    store.create_api_key(&NewKey::of(tenant, scope), &Actor::COMMAND).await.unwrap().unwrap()
}

/// An API over this store, with master keys and targets of the tests.
fn api_over(store: &Store, auth_required: bool) -> Api {
    let keyring = Keyring::parse(&Keyring::entry("test", [7; 32])).unwrap();
    let subscriptions = Subscriptions::new(store.clone(), Arc::new(keyring), None, 64 << 20);
    let tenants = Tenants::new(store.clone(), store.clock());
    Api {
        settings: ApiSettings {
            auth_required,
            max_payload_bytes: 1_048_576,
            max_batch_bytes: 8 << 20,
            max_request_bytes: 64 << 20,
            max_connections: 1_024,
            max_streams: 400,
            max_subscriptions: None,
            delivery_lifetime: Duration::from_secs(96 * 3_600),
            log_retention: Duration::from_secs(72 * 3_600),
            targets: Arc::new(TargetPolicy::default()),
            public_url: "http://localhost:8000".to_owned(),
            operations: OperationsSettings {
                payload_retention: Duration::from_secs(72 * 3_600),
                log_retention: Duration::from_secs(72 * 3_600),
                settings: Arc::new([
                    shown("DATABASE_URL", "********", "environment"),
                    shown("POSTRIDER_AUTH", "keys", "default"),
                ]),
            },
            portal: PortalSettings {
                public_url: None,
                origins: Default::default(),
                max_age: Duration::from_secs(86_400),
                max_sessions: 1_000,
            },
        },
        store: store.clone(),
        tenants: tenants.clone(),
        subscriptions: subscriptions.clone(),
        intake: Intake::start(IntakeParts {
            tenants,
            publish_per_second: None,
            queue_bytes: 64 << 20,
            subscriptions,
            store: store.clone(),
            clock: Clock::default(),
            handoff: None,
            notifier: Notifier::default(),
            lease: Duration::from_secs(25),
            metrics: Metrics::new(),
            supervisor: Supervisor::default(),
        })
        .0,
        tester: tester(),
        tasks: TaskTracker::new(),
        refusals: Refusals::new(store.clone(), Clock::default(), Metrics::new(), 1_000),
        clock: Clock::default(),
        metrics: Metrics::new(),
    }
}

fn shown(name: &'static str, value: &str, source: &str) -> ShownSetting {
    ShownSetting { name, value: value.to_owned(), source: source.to_owned() }
}

/// Sends to loopback only.
fn tester() -> Tester {
    let nets = |nets: &[&str]| nets.iter().map(|net| net.parse().unwrap()).collect();
    let addresses =
        AddressPolicy { allow: nets(&["127.0.0.0/8"]), deny: nets(&["0.0.0.0/0", "::/0"]), ..AddressPolicy::default() };
    let sender = Sender::new(SenderConfig {
        request_timeout: Duration::from_secs(5),
        addresses: Arc::new(addresses),
        max_idle_per_host: 0,
        keep: KeepDetail::All,
    });
    Tester::new(move |parcel, now| {
        let sender = sender.clone();
        async move { sender.send(&parcel, now).await.ok() }
    })
}
