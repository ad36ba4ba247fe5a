//! HTTP as the benchmark speaks it: kept connections, and single requests.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::http::request::Builder;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::failure::Failure;

/// A kept connection.
pub(crate) type Connection = SendRequest<Full<Bytes>>;

/// The API key of a request, and the tenant that it names if the key is an operator's.
#[derive(Debug, Clone, Default)]
pub(crate) struct Access {
    /// The value of the `authorization` header.
    pub(crate) key: Option<HeaderValue>,
    /// The value of the `postrider-tenant` header.
    pub(crate) tenant: Option<HeaderValue>,
}

impl Access {
    /// Adds the headers to a request.
    pub(crate) fn add_to(&self, mut request: Builder) -> Builder {
        let headers = [(AUTHORIZATION.as_str(), &self.key), ("postrider-tenant", &self.tenant)];
        for (name, value) in headers {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        request
    }
}

/// A new connection.
pub(crate) async fn connect(server: SocketAddr) -> Result<Connection, Failure> {
    let stream = TcpStream::connect(server).await.map_err(|error| Failure::new(format!("{server}: {error}")))?;
    let _ = stream.set_nodelay(true);
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// Posts a JSON document and returns status and text of the answer.
pub(crate) async fn post(
    connection: &mut Connection,
    path: &str,
    access: &Access,
    document: impl Into<Bytes>,
) -> Result<(StatusCode, String), Failure> {
    let request = Request::post(path).header(HOST, "localhost").header(CONTENT_TYPE, "application/json");
    ask(connection, access.add_to(request).body(Full::new(document.into()))?).await
}

/// Gets a text.
pub(crate) async fn get(server: SocketAddr, path: &str) -> Result<String, Failure> {
    let request = Request::get(path).header(HOST, "localhost").body(Full::default())?;
    Ok(ask(&mut connect(server).await?, request).await?.1)
}

/// Gets a document with a key.
pub(crate) async fn get_as(
    connection: &mut Connection,
    path: &str,
    access: &Access,
) -> Result<(StatusCode, String), Failure> {
    let request = Request::get(path).header(HOST, "localhost");
    ask(connection, access.add_to(request).body(Full::default())?).await
}

async fn ask(connection: &mut Connection, request: Request<Full<Bytes>>) -> Result<(StatusCode, String), Failure> {
    connection.ready().await?;
    let answer = connection.send_request(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
