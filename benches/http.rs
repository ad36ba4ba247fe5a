//! HTTP as the benchmark speaks it: kept connections, and single requests.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::failure::Failure;

/// A kept connection.
pub(crate) type Connection = SendRequest<Full<Bytes>>;

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
    server: SocketAddr,
    path: &str,
    key: Option<&HeaderValue>,
    document: impl Into<Bytes>,
) -> Result<(StatusCode, String), Failure> {
    let mut request = Request::post(path).header(CONTENT_TYPE, "application/json");
    if let Some(key) = key {
        request = request.header(AUTHORIZATION, key);
    }
    ask(server, request.header(HOST, "localhost").body(Full::new(document.into()))?).await
}

/// Gets a text.
pub(crate) async fn get(server: SocketAddr, path: &str) -> Result<String, Failure> {
    let request = Request::get(path).header(HOST, "localhost").body(Full::default())?;
    Ok(ask(server, request).await?.1)
}

async fn ask(server: SocketAddr, request: Request<Full<Bytes>>) -> Result<(StatusCode, String), Failure> {
    let answer = connect(server).await?.send_request(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
