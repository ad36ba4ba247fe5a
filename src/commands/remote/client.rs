//! The HTTP client of commands that talk to a server. It repeats nothing and follows no redirect, which would carry the
//! key elsewhere.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::RootCertStore;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::printable::printable;
use super::refusal::{Refusal, RemoteError};
use crate::commands::{Failure, starting};
use crate::config::{Private, Settings};
use crate::tls;

/// Name lookup, TCP and TLS.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// The API answers within 10 s, also a batch; the rest is for slow lines.
pub(in crate::commands) const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// A payload may have up to 64 MiB; no other answer comes near that.
const MAX_ANSWER_BYTES: usize = 65 << 20;
const TENANT: HeaderName = HeaderName::from_static("postrider-tenant");
/// No id, external id or name is longer.
const MAX_SEGMENT_BYTES: usize = 1_024;

/// One server, with a key and a tenant or none.
pub(in crate::commands) struct Client {
    pool: Pool<HttpsConnector<HttpConnector>, Full<Bytes>>,
    server: Url,
    key: Option<HeaderValue>,
    tenant: Option<HeaderValue>,
}

/// A request in the making.
pub(in crate::commands) struct Call {
    method: Method,
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    headers: HeaderMap,
    body: Bytes,
    limit: Duration,
    names_tenant: bool,
}

/// A 2xx answer, read whole.
#[derive(Debug)]
pub(in crate::commands) struct Answer {
    pub(in crate::commands) body: Bytes,
}

impl Call {
    /// The parts of the path are encoded: ids and external ids may be given as they are.
    pub(in crate::commands) fn new(method: Method, path: &[&str]) -> Self {
        let path = path.iter().map(|part| (*part).to_owned()).collect();
        let headers = HeaderMap::new();
        let body = Bytes::new();
        Self { method, path, query: Vec::new(), headers, body, limit: ANSWER_LIMIT, names_tenant: true }
    }

    pub(in crate::commands) fn get(path: &[&str]) -> Self {
        Self::new(Method::GET, path)
    }

    pub(in crate::commands) fn post(path: &[&str]) -> Self {
        Self::new(Method::POST, path)
    }

    /// May be repeated with the same name.
    pub(in crate::commands) fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    pub(in crate::commands) fn queries(mut self, given: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        self.query.extend(given);
        self
    }

    /// # Errors
    ///
    /// The value has characters that no header can hold.
    pub(in crate::commands) fn header(mut self, name: &'static str, value: &str) -> Result<Self, RemoteError> {
        let value = HeaderValue::from_str(value)
            .map_err(|_| RemoteError::Usage(format!("{name}: must have no control characters")))?;
        self.headers.insert(HeaderName::from_static(name), value);
        Ok(self)
    }

    pub(in crate::commands) fn json(self, body: &Value) -> Self {
        self.body(Bytes::from(body.to_string()))
    }

    /// Bytes that are sent as JSON as they are.
    pub(in crate::commands) fn body(mut self, body: Bytes) -> Self {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.body = body;
        self
    }

    /// For routes that are about tenants themselves.
    pub(in crate::commands) fn of_no_tenant(mut self) -> Self {
        self.names_tenant = false;
        self
    }

    /// Instead of [`ANSWER_LIMIT`].
    pub(in crate::commands) fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }
}

impl Answer {
    pub(in crate::commands) fn json<T: DeserializeOwned>(&self) -> Result<T, RemoteError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            RemoteError::NotPostrider(format!("the answer is not the JSON that was expected: {error}"))
        })
    }

    /// The body as text, for commands that print JSON as it came.
    pub(in crate::commands) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim_end().to_owned()
    }
}

impl Client {
    /// Reads `POSTRIDER_SERVER`, `POSTRIDER_KEY`, `POSTRIDER_TENANT` and `POSTRIDER_CA_FILE`.
    pub(in crate::commands) fn new(settings: &Settings) -> Result<Self, Failure> {
        let remote = settings.remote().map_err(|invalid| RemoteError::Usage(invalid.to_string()))?;
        let server = remote.server;
        let is_plain = server.username().is_empty() && server.password().is_none();
        if !is_plain || server.query().is_some() || server.fragment().is_some() {
            let rule =
                "POSTRIDER_SERVER: must have no user, password, query or fragment; a key goes into POSTRIDER_KEY";
            return Err(RemoteError::Usage(rule.to_owned()).into());
        }
        let roots = match server.scheme() {
            "https" => starting::target_roots(settings.get("POSTRIDER_CA_FILE").map(std::path::Path::new))?,
            // Reading the system's certificates takes longer than a request.
            _ => RootCertStore::empty(),
        };
        Ok(Self { pool: pool(roots), server, key: bearer(remote.key)?, tenant: tenant(remote.tenant)? })
    }

    /// As it is shown to people.
    pub(in crate::commands) fn server(&self) -> &str {
        self.server.as_str().trim_end_matches('/')
    }

    /// Whether it asks for all tenants, so that rows name theirs.
    pub(in crate::commands) fn is_for_all_tenants(&self) -> bool {
        self.tenant.as_ref().is_some_and(|tenant| tenant == "*")
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    ///
    /// No answer came in time, or it is not 2xx.
    pub(in crate::commands) async fn send(&self, call: Call) -> Result<Answer, RemoteError> {
        let limit = call.limit;
        let exchange = async {
            let body = self.open(call).await?.into_body();
            Ok(Answer { body: self.read(body).await? })
        };
        tokio::time::timeout(limit, exchange).await.unwrap_or_else(|_| Err(self.late(limit)))
    }

    /// Sends a request and returns the head of a 2xx answer; the body follows.
    pub(in crate::commands) async fn open(&self, call: Call) -> Result<Response<Incoming>, RemoteError> {
        let limit = call.limit;
        let request = self.request(call)?;
        let answer = tokio::time::timeout(limit, self.pool.request(request)).await;
        let answer = answer.map_err(|_| self.late(limit))?.map_err(|error| self.unreachable(&error))?;
        match answer.status() {
            status if status.is_success() => Ok(answer),
            status if status.is_redirection() => Err(self.redirected(status, answer.headers())),
            _ => {
                let (head, body) = answer.into_parts();
                let body = tokio::time::timeout(limit, self.read(body)).await.map_err(|_| self.late(limit))??;
                Err(RemoteError::Refused(Box::new(Refusal::read(head.status, &head.headers, &body))))
            }
        }
    }

    fn request(&self, call: Call) -> Result<Request<Full<Bytes>>, RemoteError> {
        let url = self.url(&call)?;
        let mut request = Request::new(Full::new(call.body));
        *request.method_mut() = call.method;
        *request.uri_mut() = url.as_str().parse().map_err(|_| RemoteError::Usage("the path is too long".to_owned()))?;
        let headers = request.headers_mut();
        *headers = call.headers;
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("postrider/", env!("CARGO_PKG_VERSION"))));
        let tenant = self.tenant.as_ref().filter(|_| call.names_tenant);
        for (name, value) in [(AUTHORIZATION, self.key.as_ref()), (TENANT, tenant)] {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
        Ok(request)
    }

    fn url(&self, call: &Call) -> Result<Url, RemoteError> {
        let mut url = self.server.clone();
        for part in &call.path {
            // `.` and `..` would lead to another route.
            if part.is_empty() || part == "." || part == ".." || part.len() > MAX_SEGMENT_BYTES {
                return Err(RemoteError::Usage(format!("\"{}\" is no id", printable(part))));
            }
        }
        url.path_segments_mut()
            .map_err(|()| RemoteError::Usage("POSTRIDER_SERVER: must be a URL with a host".to_owned()))?
            .pop_if_empty()
            .extend(&call.path);
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        Ok(url)
    }

    async fn read(&self, body: Incoming) -> Result<Bytes, RemoteError> {
        let read = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        let read = read
            .map_err(|error| RemoteError::Unreachable(format!("{}: the answer broke off: {error}", self.server())))?;
        Ok(read.to_bytes())
    }

    fn late(&self, limit: Duration) -> RemoteError {
        RemoteError::Unreachable(format!("{} has not answered in {} s", self.server(), limit.as_secs()))
    }

    /// With the innermost cause, which names the refusal of the system or of TLS.
    fn unreachable(&self, error: &hyper_util::client::legacy::Error) -> RemoteError {
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let hint = if error.is_connect() { "; --server or POSTRIDER_SERVER names another server" } else { "" };
        RemoteError::Unreachable(format!("cannot reach {}: {}{hint}", self.server(), printable(&cause.to_string())))
    }

    fn redirected(&self, status: StatusCode, headers: &HeaderMap) -> RemoteError {
        let to = headers.get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("nowhere");
        RemoteError::NotPostrider(format!(
            "{} answered {status}, a redirect to {}, which is not followed: set POSTRIDER_SERVER to the server itself",
            self.server(),
            printable(to)
        ))
    }
}

fn pool(roots: RootCertStore) -> Pool<HttpsConnector<HttpConnector>, Full<Bytes>> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_LIMIT));
    let tls = HttpsConnectorBuilder::new().with_tls_config(tls::verified_by(roots));
    Pool::builder(TokioExecutor::new()).build(tls.https_or_http().enable_http1().wrap_connector(tcp))
}

/// Never shown, not even in debug output.
fn bearer(key: Option<Private>) -> Result<Option<HeaderValue>, RemoteError> {
    let Some(Private(key)) = key else { return Ok(None) };
    let mut value = HeaderValue::from_str(&format!("Bearer {key}"))
        .map_err(|_| RemoteError::Usage("POSTRIDER_KEY: must be a key as `keys create` prints it".to_owned()))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn tenant(tenant: Option<String>) -> Result<Option<HeaderValue>, RemoteError> {
    let value = tenant.map(|tenant| HeaderValue::from_str(&tenant)).transpose();
    value.map_err(|_| RemoteError::Usage("POSTRIDER_TENANT: must have no control characters".to_owned()))
}
