//! A receiver on loopback that answers by script and remembers every request.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::wait::until;

/// One request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Arrived {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) at: Instant,
    /// Requests that were there unanswered when it came, itself included.
    pub(crate) at_once: usize,
}

impl Arrived {
    /// A header's text; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// How to answer.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Status(u16),
    With(u16, &'static str, String),
}

/// The receiver; it lives until the test's runtime ends.
#[derive(Clone)]
pub(crate) struct Receiver {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    open: Arc<watch::Sender<bool>>,
}

#[derive(Default)]
struct State {
    script: VecDeque<Reply>,
    arrived: Vec<Arrived>,
    usual: Option<Reply>,
    refused: Option<Bytes>,
    takes: Duration,
    at_once: usize,
    most_at_once: usize,
}

/// A request that is there; whoever sent it may be gone before it is answered.
struct Unanswered(Arc<Mutex<State>>);

impl Drop for Unanswered {
    fn drop(&mut self) {
        self.0.lock().unwrap().at_once -= 1;
    }
}

impl Receiver {
    /// A receiver that answers 200.
    pub(crate) async fn new() -> Self {
        Self::at([127, 0, 0, 1]).await
    }

    /// A receiver that answers 200 at this address of loopback.
    pub(crate) async fn at(ip: [u8; 4]) -> Self {
        let listener = TcpListener::bind(SocketAddr::from((ip, 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let receiver = Self { address, state: Arc::default(), open: Arc::new(watch::Sender::new(true)) };
        tokio::spawn(receiver.clone().serve(listener));
        receiver
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Answers the next requests like this, and later ones with 200 again.
    pub(crate) fn script(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state.lock().unwrap().script.extend(replies);
    }

    /// Answers like this from now on, where the script says nothing.
    pub(crate) fn usually(&self, reply: Reply) {
        self.state.lock().unwrap().usual = Some(reply);
    }

    /// Answers 422 to requests with this body.
    pub(crate) fn never_takes(&self, body: &'static [u8]) {
        self.state.lock().unwrap().refused = Some(Bytes::from_static(body));
    }

    /// Takes this long to answer.
    pub(crate) fn takes(&self, time: Duration) {
        self.state.lock().unwrap().takes = time;
    }

    /// Most requests that were there unanswered at one time.
    pub(crate) fn most_at_once(&self) -> usize {
        self.state.lock().unwrap().most_at_once
    }

    /// Takes requests and answers none until [`Receiver::let_go`].
    pub(crate) fn hold(&self) {
        self.open.send_replace(false);
    }

    /// Answers what was held.
    pub(crate) fn let_go(&self) {
        self.open.send_replace(true);
    }

    /// What has arrived so far.
    pub(crate) fn requests(&self) -> Vec<Arrived> {
        self.state.lock().unwrap().arrived.clone()
    }

    /// How many requests have arrived so far.
    pub(crate) fn count(&self) -> usize {
        self.state.lock().unwrap().arrived.len()
    }

    /// Waits for so many requests.
    pub(crate) async fn arrived(&self, count: usize) -> Vec<Arrived> {
        until(&format!("{count} requests arrived"), async || {
            Some(self.requests()).filter(|requests| requests.len() >= count)
        })
        .await
    }

    async fn serve(self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let receiver = self.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| receiver.clone().answer(request));
                let serving =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                // A sender may go away in the middle; that is its business.
                let _ = serving.await;
            });
        }
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map(|whole| whole.to_bytes()).unwrap_or_default();
        let _unanswered = Unanswered(Arc::clone(&self.state));
        let (reply, takes) = {
            let mut state = self.state.lock().unwrap();
            let refused = state.refused.as_ref() == Some(&body);
            state.at_once += 1;
            state.most_at_once = state.most_at_once.max(state.at_once);
            let at_once = state.at_once;
            state.arrived.push(Arrived { headers: parts.headers, body, at: Instant::now(), at_once });
            let reply = state.script.pop_front().or_else(|| state.usual.clone());
            let reply = if refused { Reply::Status(422) } else { reply.unwrap_or(Reply::Status(200)) };
            (reply, state.takes)
        };
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
        let _ = self.open.subscribe().wait_for(|open| *open).await;
        let response = Response::builder();
        let response = match reply {
            Reply::Status(status) => response.status(status),
            Reply::With(status, name, value) => response.status(status).header(name, value),
        };
        Ok(response.body(Full::from("seen")).unwrap())
    }
}
