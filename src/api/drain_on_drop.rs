//! Letting a refused client finish sending.
//!
//! A connection closed while unread bytes wait is reset, and a client that is still writing
//! then never sees why it was refused. So a body that nobody read to its end is read on and
//! thrown away, up to a limit, while the answer is already on its way.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::combinators::BoxBody;
use hyper::body::{Body, Frame, SizeHint};

use super::head_limit::Exchange;

/// Most bytes read and thrown away.
const MAX_BYTES: usize = 8 * 1_024 * 1_024;
/// Most time spent on it.
const MAX_TIME: Duration = Duration::from_secs(3);

type Inner = BoxBody<Bytes, std::io::Error>;

/// A request's body that is drained when it is dropped early.
pub(super) struct DrainOnDrop {
    inner: Option<Inner>,
    exchange: Option<Arc<Exchange>>,
}

impl DrainOnDrop {
    /// Wraps a body. One that waits for `100 Continue` is better not wrapped: reading it
    /// would ask for what is not wanted.
    /// Its end is told to the exchange that it belongs to.
    pub(super) fn new(body: poem::Body, exchange: Option<Arc<Exchange>>) -> Self {
        Self { inner: Some(body.into()), exchange }
    }
}

fn tell_end(exchange: Option<Arc<Exchange>>) {
    if let Some(exchange) = exchange {
        exchange.part_ended();
    }
}

impl Body for DrainOnDrop {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(inner) = self.inner.as_mut() else { return Poll::Ready(None) };
        let polled = Pin::new(inner).poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.inner = None;
            tell_end(self.exchange.take());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for DrainOnDrop {
    fn drop(&mut self) {
        let exchange = self.exchange.take();
        match self.inner.take() {
            Some(inner) if !inner.is_end_stream() => {
                tokio::spawn(tokio::time::timeout(MAX_TIME, drain(inner, exchange)));
            }
            _ => tell_end(exchange),
        }
    }
}

async fn drain(mut body: Inner, exchange: Option<Arc<Exchange>>) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > MAX_BYTES {
            return;
        }
    }
    tell_end(exchange);
}
