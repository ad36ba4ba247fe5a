//! Runs the sender against real sockets on loopback.

mod addresses;
mod bodies;
mod details;
mod heads;
mod receiver;
mod request;
mod reuse;
mod streams;
mod tls;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use time::OffsetDateTime;

use super::{Sender, SenderConfig};
use crate::domain::address::AddressPolicy;
use crate::domain::attempt::Answer;
use crate::domain::content_type::ContentType;
use crate::domain::delivery::{DeliveryKey, Lease, Parcel};
use crate::domain::detail::KeepDetail;
use crate::domain::hops::Hops;
use crate::domain::id::{EventId, LeaseToken, SubscriptionId, TenantId};
use crate::domain::secret::Secret;
use crate::domain::subscription::Destination;
use crate::domain::target::{Target, TargetPolicy};
use crate::domain::trigger::Trigger;

/// Longer than any healthy exchange on a busy machine.
const AMPLE: Duration = Duration::from_secs(20);
/// For tests about the deadline.
const SHORT: Duration = Duration::from_millis(300);

fn loopback() -> AddressPolicy {
    let allow = vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
    AddressPolicy { allow, ..AddressPolicy::default() }
}

fn config(request_timeout: Duration) -> SenderConfig {
    SenderConfig { request_timeout, addresses: Arc::new(loopback()), max_idle_per_host: 8, keep: KeepDetail::All }
}

fn sender(request_timeout: Duration) -> Sender {
    Sender::new(config(request_timeout))
}

fn secret(byte: u8) -> Secret {
    Secret::from_random([byte; 32])
}

fn parcel(url: &str) -> Parcel {
    let policy = TargetPolicy { allow_http: true, addresses: loopback() };
    let now = OffsetDateTime::now_utc();
    Parcel {
        subscription_version: 1,
        key: DeliveryKey {
            tenant: TenantId::at(now, uuid::Uuid::new_v4().into_bytes()),
            event: EventId::at(now, uuid::Uuid::new_v4().into_bytes()),
            subscription: SubscriptionId::at(now, uuid::Uuid::new_v4().into_bytes()),
        },
        lease: Lease { token: LeaseToken::at(now, uuid::Uuid::new_v4().into_bytes()), ends: Instant::now() + AMPLE },
        attempt_number: 1,
        free_attempts: 0,
        trigger: Trigger::Fresh,
        event_type: None,
        payload: Bytes::from_static(b"{\"order\":1}"),
        content_type: ContentType::default(),
        hops: Hops::default(),
        destination: Arc::new(Destination::new(Target::parse(url, &policy).unwrap(), secret(1).into())),
        ordering_key: None,
        skip_after: None,
    }
}

fn http(address: std::net::SocketAddr) -> Parcel {
    parcel(&format!("http://{address}/in"))
}

async fn send(sender: &Sender, parcel: &Parcel) -> Answer {
    sender.send(parcel, OffsetDateTime::now_utc()).await.unwrap()
}

async fn met_at(address: std::net::SocketAddr) -> Answer {
    send(&sender(AMPLE), &http(address)).await
}
