//! A request body that lets a refused client finish sending.
//!
//! Closing a connection with unread bytes resets it, and a client that is still writing never sees the response. So
//! the rest of a dropped body is read and discarded, up to a limit.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::Request;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::EXPECT;

use super::activity::Exchange;
use super::beginning::Beginning;

const MAX_BYTES: usize = 8 * 1_024 * 1_024;
const MAX_TIME: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub struct RequestBody {
    /// `None` after its end, or without a body.
    arriving: Option<(Incoming, Arc<Exchange>)>,
    beginning: Beginning,
    drains: bool,
}

impl RequestBody {
    /// With its [`Beginning`] as an extension of the request.
    pub(super) fn wrap(mut request: Request<Incoming>, exchange: Arc<Exchange>) -> Request<Self> {
        // Reading the body of a client that waits for `100 Continue` would ask for it.
        let drains = !request.headers().contains_key(EXPECT);
        let beginning = Beginning::default();
        request.extensions_mut().insert(beginning.clone());
        request.map(|body| {
            let arriving = (!body.is_end_stream()).then_some((body, exchange));
            Self { arriving, beginning, drains }
        })
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Some((body, _)) = self.arriving.as_mut() else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_))))
            && let Some((_, exchange)) = self.arriving.take()
        {
            exchange.part_ended();
        }
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.beginning.add(data);
        }
        polled.map_err(io::Error::other)
    }

    fn is_end_stream(&self) -> bool {
        self.arriving.as_ref().is_none_or(|(body, _)| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.arriving.as_ref().map_or_else(|| SizeHint::with_exact(0), |(body, _)| body.size_hint())
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        match self.arriving.take() {
            Some((body, exchange)) if self.drains && !body.is_end_stream() => {
                tokio::spawn(tokio::time::timeout(MAX_TIME, drain(body, exchange, self.beginning.clone())));
            }
            Some((_, exchange)) => exchange.part_ended(),
            None => {}
        }
    }
}

async fn drain(mut body: Incoming, exchange: Arc<Exchange>, beginning: Beginning) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        let data = frame.data_ref().map_or(&[][..], Bytes::as_ref);
        beginning.add(data);
        read += data.len();
        if read > MAX_BYTES {
            return;
        }
    }
    exchange.part_ended();
}
