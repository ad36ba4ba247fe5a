//! A test event: sent at once, logged, and counted nowhere.

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::api::Api;
use crate::api::attempts::AttemptAnswer;
use crate::api::form::{self, AnyDocument, form};
use crate::api::problem::Problem;
use crate::api::text::Moment;
use crate::domain::attempt::Attempt;
use crate::domain::delivery::{DeliveryKey, Lease, Parcel};
use crate::domain::event_type::EventType;
use crate::domain::hops::Hops;
use crate::domain::id::{AttemptId, EventId, LeaseToken};
use crate::domain::payload::Payload;
use crate::domain::subscription::Subscription;
use crate::domain::target::TargetPolicy;
use crate::domain::trigger::Trigger;
use crate::store::StoreError;

form! {
    /// What to send.
    pub(super) struct TestForm {
        /// Type of the event; by default one that the subscription wants: its first, `order.test` for `order.*`, and
        /// `postrider.test` for all. A type that it does not want is sent too.
        pub(super) event_type: Option<EventType>,
        /// What is sent, byte for byte as it stands here; at most POSTRIDER_MAX_PAYLOAD_BYTES. By default a small
        /// object with type, timestamp and data.
        pub(super) payload: Option<AnyDocument>,
    }
}

/// A test event that may be sent.
pub(super) struct TestEvent {
    event_type: Option<EventType>,
    payload: Option<Payload>,
}

impl TestEvent {
    /// An empty body is an object without fields.
    pub(super) fn read(bytes: &[u8], most_bytes: usize, targets: &TargetPolicy) -> Result<Self, Problem> {
        let form: TestForm = form::read(if bytes.is_empty() { b"{}" } else { bytes }, targets)?;
        let payload = form.payload.map(|document| match document.0.len() > most_bytes {
            true => Err(Problem::BodyTooLarge(most_bytes)),
            false => Payload::parse(document.0).map_err(Problem::PayloadInvalid),
        });
        Ok(Self { event_type: form.event_type, payload: payload.transpose()? })
    }

    /// A delivery of a fresh event to this subscription. Its lease is of no worker: it is over.
    fn parcel(self, subscription: &Subscription, now: OffsetDateTime) -> Result<Parcel, Problem> {
        let event_type = self.event_type.unwrap_or_else(|| subscription.event_types.example());
        let payload = match self.payload {
            Some(payload) => payload,
            None => example(&event_type, now)?,
        };
        let event = EventId::at(now, Uuid::new_v4().into_bytes());
        Ok(Parcel {
            key: DeliveryKey { event, subscription: subscription.id, tenant: subscription.tenant },
            lease: Lease { token: LeaseToken::from(Uuid::nil()), ends: Instant::now() },
            attempt_number: 1,
            free_attempts: 0,
            trigger: Trigger::Test,
            event_type: Some(event_type),
            payload: payload.bytes().clone(),
            content_type: payload.content_type().clone(),
            hops: Hops::default(),
            subscription_version: subscription.version,
            destination: Arc::clone(&subscription.destination),
            ordering_key: None,
            skip_after: None,
        })
    }

    /// Sends it and logs the attempt. It goes on if the client leaves, so that what was sent is in the log. Nothing of
    /// the database is held while the receiver is awaited.
    pub(super) async fn send(self, api: &Arc<Api>, subscription: &Subscription) -> Result<AttemptAnswer, Problem> {
        let running = api.tester.begin(subscription.tenant).ok_or(Problem::TooManyTests)?;
        let parcel = self.parcel(subscription, api.clock.now())?;
        let tasks = api.tasks.clone();
        let api = Arc::clone(api);
        let sending = tasks.spawn(async move {
            let started_at = api.clock.now();
            let answer = running.send(parcel.clone(), started_at).await.ok_or(Problem::Unavailable)?;
            let id = AttemptId::at(started_at, Uuid::new_v4().into_bytes());
            let attempt = Attempt { id, number: parcel.attempt_number, started_at, trigger: parcel.trigger, answer };
            log(&api, &parcel, &attempt).await
        });
        sending.await.map_err(|_| Problem::Internal)?
    }
}

async fn log(api: &Api, parcel: &Parcel, attempt: &Attempt) -> Result<AttemptAnswer, Problem> {
    let event_type = parcel.event_type.as_ref().map(EventType::as_str);
    let mut logged = api.store.log_test(parcel.key, event_type, attempt).await;
    if matches!(logged, Err(StoreError::NoPartition)) {
        api.store.ensure_partitions().await?;
        logged = api.store.log_test(parcel.key, event_type, attempt).await;
    }
    let (row, detail) = logged?;
    Ok(AttemptAnswer::of(row, detail, true))
}

fn example(event_type: &EventType, now: OffsetDateTime) -> Result<Payload, Problem> {
    let example = json!({ "type": event_type.as_str(), "timestamp": Moment(now), "data": { "test": true } });
    Payload::parse(example.to_string().into()).map_err(Problem::PayloadInvalid)
}
