//! A backlog: many events for one subscription, published in batches, due at once or all at
//! one moment.

use std::net::SocketAddr;
use std::time::Instant;

use serde::Serialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::failure::Failure;
use crate::payload::Template;
use crate::producer::PAYLOAD_BYTES;
use crate::receiver::Receiver;
use crate::tenant::Tenant;

/// The type of their events, which nothing else has.
pub(crate) const TYPE: &str = "bench.backlog";
/// Events of one request; the API takes no more.
const BATCH: usize = 1_000;

/// For whom the events are.
pub(crate) struct Backlog<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) api: SocketAddr,
    pub(crate) subscription: Uuid,
    pub(crate) receiver: &'a Receiver,
}

/// An event of a batch. Its payload stands in the request as it will be sent.
#[derive(Serialize)]
struct Event<'a> {
    event_type: &'static str,
    subscription_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    deliver_at: Option<&'a str>,
    payload: Box<RawValue>,
}

impl Backlog<'_> {
    /// Publishes so many events, numbered by age from 0, to be sent at once or at a moment.
    pub(crate) async fn write(&self, events: usize, deliver_at: Option<OffsetDateTime>) -> Result<(), Failure> {
        let deliver_at = deliver_at.map(|at| at.format(&Rfc3339)).transpose()?;
        let template = Template::new(PAYLOAD_BYTES);
        let event = |number| {
            Ok(Event {
                event_type: TYPE,
                subscription_id: self.subscription,
                deliver_at: deliver_at.as_deref(),
                payload: RawValue::from_string(String::from_utf8(template.numbered(number).to_vec())?)?,
            })
        };
        let began = Instant::now();
        // One batch after the other: the order of their ids is their order of age.
        for first in (0..events).step_by(BATCH) {
            let batch = (first..events.min(first + BATCH)).map(event).collect::<Result<Vec<_>, Failure>>()?;
            self.tenant.publish(self.api, &batch).await?;
            self.receiver.note_accepted(batch.len());
        }
        eprintln!("a backlog of {events} was published in {:.1} s", began.elapsed().as_secs_f64());
        Ok(())
    }
}
