//! Sends one HTTP POST.
//!
//! [`Sender::send`] makes exactly one attempt and returns what happened, as data. It knows nothing of the queue.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use rustls::RootCertStore;
use time::OffsetDateTime;
use tokio::time::{Instant, timeout_at};

use crate::domain::address::AddressPolicy;
use crate::domain::attempt::Answer;
use crate::domain::delivery::Parcel;
use crate::domain::detail::KeepDetail;
use crate::domain::outcome::Outcome;
use crate::domain::target::Target;

use client::DeliveryClient;
use connection::Usage;
use failure::NoConnection;
use gate::Gate;
use local_fault::Cause;
use progress::{PROGRESS, Progress};
use request::InterimHeads;

mod client;
mod connection;
mod detail;
mod failure;
mod gate;
mod head;
mod local_fault;
mod lookup_permits;
mod progress;
mod request;
mod resolve;
mod response;
#[cfg(test)]
mod tests;

pub use local_fault::LocalFault;

#[derive(Debug, Clone)]
pub struct SenderConfig {
    /// Lookup, connect, TLS, request, response head. The body of a 2xx response gets 2 s more.
    pub request_timeout: Duration,
    /// Which addresses are allowed. Put [`own_addresses`] into its `own`.
    pub addresses: Arc<AddressPolicy>,
    pub max_idle_per_host: usize,
    /// Which attempts keep details.
    pub keep: KeepDetail,
}

/// Resolves a target and checks its addresses without connecting.
pub async fn addresses_of(target: &Target, addresses: Arc<AddressPolicy>) -> Result<Vec<IpAddr>, String> {
    let uri = target.as_str().parse().map_err(|_| Outcome::BlockedAddress.to_string())?;
    Gate::new(addresses).resolve(&uri).await.map_err(|cause| cause.to_string())
}

/// Clones share connections and limits. A new address policy needs a new sender, because kept-alive connections are
/// not checked again.
#[derive(Debug, Clone)]
pub struct Sender {
    client: DeliveryClient,
    request_timeout: Duration,
    keep: KeepDetail,
}

impl Sender {
    /// Trusts the built-in public roots.
    pub fn new(config: SenderConfig) -> Self {
        Self::with_roots(config, RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
    }

    /// Trusts these roots only.
    pub fn with_roots(config: SenderConfig, roots: RootCertStore) -> Self {
        let client = client::new(Gate::new(Arc::clone(&config.addresses)), roots, &config);
        Self { client, request_timeout: config.request_timeout, keep: config.keep }
    }

    /// # Errors
    ///
    /// This machine could not open the connection: nothing was sent, and the receiver is not to blame.
    pub async fn send(&self, parcel: &Parcel, now: OffsetDateTime) -> Result<Answer, LocalFault> {
        let started = Instant::now();
        let deadline = started + parcel.destination.request_timeout.unwrap_or(self.request_timeout);
        let progress = Arc::new(Progress::new(parcel.key.tenant, started, Some(deadline)));
        let met = match request::build(parcel, now) {
            Some(request) => {
                PROGRESS.scope(Arc::clone(&progress), self.exchange(request, deadline, &progress, now)).await?
            }
            None => Met::from(Answer::without_response(Outcome::BlockedAddress)),
        };
        let duration = started.elapsed();
        let keeps = self.keep.keeps(met.answer.outcome.is_success());
        let detail = keeps.then(|| Box::new(detail::of(parcel, now, &met, &progress, duration)));
        Ok(Answer { duration, detail, ..met.answer })
    }

    async fn exchange(
        &self,
        mut request: Request<Full<Bytes>>,
        deadline: Instant,
        progress: &Progress,
        now: OffsetDateTime,
    ) -> Result<Met, LocalFault> {
        let connection = capture_connection(&mut request);
        let interim_heads = InterimHeads::counted_on(&mut request);
        let met = tokio::select! {
            biased;
            met = timeout_at(deadline, self.client.request(request)) => met.ok(),
            () = interim_heads.too_many() => None,
        };
        match met {
            Some(Ok(response)) => {
                let usage = response.extensions().get::<Arc<Usage>>().cloned();
                let remote = usage.as_ref().and_then(|usage| usage.remote());
                let (answer, body_is_cut) = response::read(response, deadline, now).await;
                Ok(Met { answer: Answer { remote, ..answer }, usage, body_is_cut })
            }
            Some(Err(error)) => failed(&error, &connection),
            None => match usage_of(&connection) {
                Some(usage) => Ok(Met::on(usage, Answer::without_response(Outcome::Timeout))),
                None => unconnected(NoConnection::new(progress.timed_out(), progress.dialled())),
            },
        }
    }
}

/// What came of a request.
struct Met {
    answer: Answer,
    /// The connection that was used.
    usage: Option<Arc<Usage>>,
    /// Whether the body had more bytes than were read.
    body_is_cut: bool,
}

impl Met {
    fn on(usage: Arc<Usage>, answer: Answer) -> Self {
        Self { answer: Answer { remote: usage.remote(), ..answer }, usage: Some(usage), body_is_cut: false }
    }
}

impl From<Answer> for Met {
    fn from(answer: Answer) -> Self {
        Self { answer, usage: None, body_is_cut: false }
    }
}

/// Addresses of this machine's interfaces, which receivers may not use.
pub fn own_addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot read the addresses of this machine's interfaces");
        Vec::new()
    });
    interfaces.iter().map(if_addrs::Interface::ip).collect()
}

fn unconnected(met: NoConnection) -> Result<Met, LocalFault> {
    match met.cause {
        Cause::Receiver(outcome) => Ok(Answer { remote: met.remote, ..Answer::without_response(outcome) }.into()),
        Cause::Local(fault) => Err(fault),
    }
}

fn failed(error: &legacy::Error, connection: &CaptureConnection) -> Result<Met, LocalFault> {
    if let Some(met) = NoConnection::within(error) {
        return unconnected(*met);
    }
    let usage = usage_of(connection);
    let outcome = failure::outcome_of(error);
    let unsent = failure::is_unsent(error);
    let closed = matches!(outcome, Outcome::ClosedEarly | Outcome::Reset);
    let stale = (closed || unsent) && usage.as_ref().is_some_and(|usage| usage.went_stale(unsent));
    let answer = Answer {
        stale_connection: stale,
        first_line: failure::instead_of_status_line(error),
        // An idle connection may close with FIN, with RST, or before the write; the cause is the same.
        ..Answer::without_response(if stale { Outcome::ClosedEarly } else { outcome })
    };
    Ok(match usage {
        Some(usage) => Met::on(usage, answer),
        None => answer.into(),
    })
}

fn usage_of(connection: &CaptureConnection) -> Option<Arc<Usage>> {
    let mut extras = hyper::http::Extensions::new();
    connection.connection_metadata().as_ref()?.get_extras(&mut extras);
    extras.remove()
}
