//! One event of the stream: what it is about, how it is written, and its cursor.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::api::text::Moment;
use crate::domain::id::{EventId, TenantId};
use crate::store::{TailKind, TailRow};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Accepted = 1,
    Attempt = 2,
    Ended = 3,
}

/// Names an event of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    kind: Kind,
    id: Uuid,
    subscription: Uuid,
    micros: i64,
}

/// Which position a cursor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// As this feed sent it to everybody who watched. Other feeds have another order.
    Live(FeedId),
    /// By time, while a viewer caught up.
    Replayed,
}

/// Of the feed of one process.
pub(super) type FeedId = u32;

const LIVE: u8 = 0;
const REPLAYED: u8 = 1;

/// The id of an event of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StreamCursor {
    pub(super) order: Order,
    pub(super) key: Key,
}

/// An event of the stream.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) key: Key,
    pub(super) tenant: TenantId,
    pub(super) subscription: Option<Uuid>,
    pub(super) event_type: Option<String>,
    /// `pending` for accepted events and failed attempts.
    pub(super) status: String,
    pub(super) reason: Option<String>,
    /// When its event was accepted.
    pub(super) accepted_at: Option<OffsetDateTime>,
    data: String,
    live: Bytes,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Attempt => "attempt",
            Self::Ended => "ended",
        }
    }
}

impl Key {
    pub(super) fn at(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.micros) * 1_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

impl StreamCursor {
    pub(super) fn text(self) -> String {
        let (order, feed) = match self.order {
            Order::Live(feed) => (LIVE, feed),
            Order::Replayed => (REPLAYED, 0),
        };
        let mut bytes = vec![order, self.key.kind as u8];
        bytes.extend_from_slice(&feed.to_be_bytes());
        bytes.extend_from_slice(&self.key.micros.to_be_bytes());
        bytes.extend_from_slice(self.key.id.as_bytes());
        bytes.extend_from_slice(self.key.subscription.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let [order, kind, rest @ ..] = bytes.as_slice() else { return None };
        let (feed, rest) = rest.split_first_chunk::<4>()?;
        let (micros, ids) = rest.split_first_chunk::<8>()?;
        let (id, subscription) = ids.split_at_checked(16)?;
        let order = match *order {
            LIVE => Order::Live(u32::from_be_bytes(*feed)),
            REPLAYED => Order::Replayed,
            _ => return None,
        };
        let kind = [Kind::Accepted, Kind::Attempt, Kind::Ended].into_iter().find(|known| *known as u8 == *kind)?;
        let micros = i64::from_be_bytes(*micros);
        let (id, subscription) = (Uuid::from_slice(id).ok()?, Uuid::from_slice(subscription).ok()?);
        Some(Self { order, key: Key { kind, id, subscription, micros } })
    }
}

impl Item {
    /// A row is one event; a successful attempt is two, because the delivery ended.
    pub(super) fn of(row: &TailRow, feed: FeedId) -> Vec<Self> {
        let is_success = row.kind == TailKind::Attempt && row.word.as_deref() == Some("delivered");
        let mut items = vec![match row.kind {
            TailKind::Accepted => Self::new(row, feed, Kind::Accepted, "pending", accepted(row)),
            TailKind::Attempt => {
                let status = if is_success { "succeeded" } else { "pending" };
                Self::new(row, feed, Kind::Attempt, status, attempt(row))
            }
            TailKind::Ended => {
                let status = row.word.as_deref().unwrap_or_default();
                Self::new(row, feed, Kind::Ended, status, ended(row, status))
            }
        }];
        if is_success {
            items.push(Self::new(row, feed, Kind::Ended, "succeeded", ended(row, "succeeded")));
        }
        items
    }

    fn new(row: &TailRow, feed: FeedId, kind: Kind, status: &str, data: Value) -> Self {
        let micros = i64::try_from(row.at.unix_timestamp_nanos() / 1_000).unwrap_or_default();
        let key = Key { kind, id: row.id, subscription: row.subscription.unwrap_or_default(), micros };
        let data = data.to_string();
        Self {
            live: frame(StreamCursor { order: Order::Live(feed), key }, &data),
            key,
            tenant: row.tenant,
            subscription: row.subscription,
            event_type: row.event_type.clone(),
            status: status.to_owned(),
            reason: row.reason.clone(),
            accepted_at: match kind {
                Kind::Accepted => Some(row.at),
                Kind::Attempt | Kind::Ended => EventId::new(row.event).accepted_at(),
            },
            data,
        }
    }

    pub(super) fn frame(&self, order: Order) -> Bytes {
        match order {
            Order::Live(_) => self.live.clone(),
            Order::Replayed => frame(StreamCursor { order, key: self.key }, &self.data),
        }
    }
}

/// JSON has no line breaks, so that one line holds it.
fn frame(cursor: StreamCursor, data: &str) -> Bytes {
    format!("id: {}\nevent: {}\ndata: {data}\n\n", cursor.text(), cursor.key.kind.word()).into()
}

fn accepted(row: &TailRow) -> Value {
    json!({
        "tenant_id": row.tenant.uuid(),
        "webhook_id": row.event,
        "event_type": row.event_type,
        "accepted_at": Moment(row.at),
        "payload_bytes": row.number,
    })
}

fn attempt(row: &TailRow) -> Value {
    json!({
        "tenant_id": row.tenant.uuid(),
        "id": row.id,
        "webhook_id": row.event,
        "subscription_id": row.subscription,
        "event_type": row.event_type,
        "attempt_number": row.number,
        "trigger": row.trigger.as_deref().unwrap_or("fresh"),
        "outcome": row.word,
        "status_code": row.status_code,
        "is_success": row.word.as_deref() == Some("delivered"),
        "error_message": row.error_message,
        "duration_ms": row.duration_ms,
        "created_at": Moment(row.began_at),
    })
}

fn ended(row: &TailRow, status: &str) -> Value {
    json!({
        "tenant_id": row.tenant.uuid(),
        "webhook_id": row.event,
        "subscription_id": row.subscription,
        "event_type": row.event_type,
        "status": status,
        "reason": row.reason,
        "attempts": row.number,
        "ended_at": Moment(row.at),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_is_read_back(id in any::<u128>(), subscription in any::<u128>(), micros in any::<i64>(), feed in any::<Option<u32>>()) {
            let order = feed.map_or(Order::Replayed, Order::Live);
            let (id, subscription) = (Uuid::from_u128(id), Uuid::from_u128(subscription));
            let cursor = StreamCursor { order, key: Key { kind: Kind::Attempt, id, subscription, micros } };
            prop_assert_eq!(StreamCursor::read(&cursor.text()), Some(cursor));
        }

        #[test]
        fn no_text_makes_the_reader_fail_otherwise(text in ".*") {
            let _ = StreamCursor::read(&text);
        }
    }
}
