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
use crate::domain::attempt::{Answer, Directives};
use crate::domain::delivery::Parcel;
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
}

impl Sender {
    /// Trusts the built-in public roots.
    pub fn new(config: SenderConfig) -> Self {
        Self::with_roots(config, RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
    }

    /// Trusts these roots only.
    pub fn with_roots(config: SenderConfig, roots: RootCertStore) -> Self {
        let client = client::new(Gate::new(config.addresses), roots, config.max_idle_per_host);
        Self { client, request_timeout: config.request_timeout }
    }

    /// # Errors
    ///
    /// This machine could not open the connection: nothing was sent, and the receiver is not to blame.
    pub async fn send(&self, parcel: &Parcel, now: OffsetDateTime) -> Result<Answer, LocalFault> {
        let started = Instant::now();
        let answer = match request::build(parcel, now) {
            Some(request) => {
                let deadline = started + parcel.destination.request_timeout.unwrap_or(self.request_timeout);
                let progress = Arc::new(Progress::new(parcel.key.tenant, Some(deadline)));
                PROGRESS.scope(Arc::clone(&progress), self.exchange(request, deadline, &progress, now)).await?
            }
            None => no_answer(Outcome::BlockedAddress),
        };
        Ok(Answer { duration: started.elapsed(), ..answer })
    }

    async fn exchange(
        &self,
        mut request: Request<Full<Bytes>>,
        deadline: Instant,
        progress: &Progress,
        now: OffsetDateTime,
    ) -> Result<Answer, LocalFault> {
        let connection = capture_connection(&mut request);
        let interim_heads = InterimHeads::counted_on(&mut request);
        let met = tokio::select! {
            biased;
            met = timeout_at(deadline, self.client.request(request)) => met.ok(),
            () = interim_heads.too_many() => None,
        };
        match met {
            Some(Ok(response)) => {
                let remote = response.extensions().get::<Arc<Usage>>().and_then(|usage| usage.remote);
                Ok(Answer { remote, ..response::read(response, deadline, now).await })
            }
            Some(Err(error)) => failed(&error, &connection),
            None => match usage_of(&connection) {
                Some(usage) => Ok(Answer { remote: usage.remote, ..no_answer(Outcome::Timeout) }),
                None => unconnected(NoConnection::new(progress.timed_out(), progress.dialled())),
            },
        }
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

fn unconnected(met: NoConnection) -> Result<Answer, LocalFault> {
    match met.cause {
        Cause::Receiver(outcome) => Ok(Answer { remote: met.remote, ..no_answer(outcome) }),
        Cause::Local(fault) => Err(fault),
    }
}

fn failed(error: &legacy::Error, connection: &CaptureConnection) -> Result<Answer, LocalFault> {
    if let Some(met) = NoConnection::within(error) {
        return unconnected(*met);
    }
    let usage = usage_of(connection);
    let outcome = failure::outcome_of(error);
    let unsent = failure::is_unsent(error);
    let closed = matches!(outcome, Outcome::ClosedEarly | Outcome::Reset);
    let stale = (closed || unsent) && usage.as_ref().is_some_and(|usage| usage.went_stale(unsent));
    Ok(Answer {
        remote: usage.and_then(|usage| usage.remote),
        stale_connection: stale,
        first_line: failure::instead_of_status_line(error),
        // An idle connection may close with FIN, with RST, or before the write; the cause is the same.
        ..no_answer(if stale { Outcome::ClosedEarly } else { outcome })
    })
}

fn no_answer(outcome: Outcome) -> Answer {
    Answer {
        outcome,
        status: None,
        first_line: None,
        body: Bytes::new(),
        retry_after: None,
        directives: Directives::default(),
        remote: None,
        duration: Duration::ZERO,
        stale_connection: false,
    }
}

fn usage_of(connection: &CaptureConnection) -> Option<Arc<Usage>> {
    let mut extras = hyper::http::Extensions::new();
    connection.connection_metadata().as_ref()?.get_extras(&mut extras);
    extras.remove()
}
