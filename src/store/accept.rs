//! Accepting: many events, their deliveries and their idempotency keys in one commit.

use std::collections::HashMap;
use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::Param;
use super::{Store, StoreError, sql};
use crate::domain::event::Event;
use crate::domain::id::{EventId, LeaseToken, SubscriptionId, TenantId};
use crate::domain::idempotency::{Fingerprint, IdempotencyKey};
use crate::domain::ordering::{Line, OrderingKey};
use crate::domain::timing::Timing;

/// Most time an accepting statement may take: its clients wait for it.
const ACCEPT_LIMIT: Duration = Duration::from_millis(1_200);

/// One event to accept, with the deliveries it makes.
#[derive(Debug, Clone)]
pub struct AcceptItem {
    /// The event.
    pub event: Event,
    /// Its idempotency key and what the request was, where it has one.
    pub key: Option<(IdempotencyKey, Fingerprint)>,
    /// For an event to all who want it, the version of the tenant's list that it was matched
    /// with; `None` for one that is addressed.
    pub list_version: Option<i64>,
    /// When it is delivered, at the earliest and at the latest.
    pub timing: Timing,
    /// What keeps it in order with others.
    pub ordering_key: Option<OrderingKey>,
    /// Its deliveries; an addressed event has one.
    pub deliveries: Vec<NewDelivery>,
}

/// A delivery to be.
#[derive(Debug, Clone, Copy)]
pub struct NewDelivery {
    /// The subscription it is for.
    pub subscription: SubscriptionId,
    /// The version of the subscription that the event was checked against.
    pub version: i64,
    /// Whether it is born leased to the token.
    pub leased: bool,
    /// Whether the subscription was ordered: with an ordering key the delivery joins a line, and
    /// is not born leased. The row decides.
    pub is_ordered: bool,
}

impl AcceptItem {
    /// The lines that its deliveries join.
    pub fn lines(&self) -> impl Iterator<Item = Line> {
        let ordered = self.deliveries.iter().filter(|delivery| delivery.is_ordered);
        let line = |(delivery, key): (&NewDelivery, &OrderingKey)| Line {
            subscription: delivery.subscription,
            key: key.clone(),
        };
        ordered.filter_map(|delivery| self.ordering_key.as_ref().map(|key| (delivery, key))).map(line)
    }
}

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcceptVerdict {
    /// Committed.
    Accepted,
    /// Not written: the idempotency key stands for another event.
    KeyTaken,
    /// Not written: the subscription it is addressed to has another version by now or is not
    /// active, or too much has changed since the list of all was read.
    Changed,
}

/// In what a pair of event and subscription differs from what was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// Not born leased: it is held for whoever owns the pace of the subscription.
    Withheld,
    /// Not born leased: the subscription has another version by now, and gets it as it stands.
    Changed,
    /// No delivery: the subscription is deleted, or does not want it any more.
    Gone,
    /// A delivery more: the subscription wants it by now.
    Added,
}

/// The pairs that are not as they were decided.
pub type Notes = HashMap<(EventId, SubscriptionId), Note>;

/// What became of a statement's items.
#[derive(Debug, Clone, Default)]
pub struct AcceptAnswer {
    /// Of each event, in any order.
    pub verdicts: Vec<(EventId, AcceptVerdict)>,
    /// Pairs that are not as they were decided.
    pub notes: Notes,
}

/// What an idempotency key stands for.
#[derive(Debug, Clone)]
pub struct KeyOwner {
    /// Whose key it is.
    pub tenant: TenantId,
    /// The key.
    pub key: String,
    /// The event that was accepted with it.
    pub event: EventId,
    /// What that request was.
    pub fingerprint: Vec<u8>,
}

impl Store {
    /// Writes the items in one commit and returns what became of each, in any order.
    /// Deliveries born leased belong to `token` for `lease` from the database's now, or longer
    /// where a subscription's own time limit asks for it.
    ///
    /// # Errors
    /// [`StoreError`]; after `Unavailable` the commit may have happened all the same.
    pub async fn accept(
        &self,
        items: &[AcceptItem],
        token: LeaseToken,
        lease: Duration,
    ) -> Result<AcceptAnswer, StoreError> {
        let mut connection = self.queue().await?.within(ACCEPT_LIMIT);
        let ids: Vec<_> = items.iter().map(|item| item.event.id.uuid()).collect();
        let tenants: Vec<_> = items.iter().map(|item| item.event.tenant.uuid()).collect();
        let types: Vec<_> = items.iter().map(|item| item.event.event_type.as_ref().map(|name| name.as_str())).collect();
        let payloads: Vec<_> = items.iter().map(|item| item.event.payload.bytes().as_ref()).collect();
        let keys: Vec<_> = items.iter().map(|item| item.key.as_ref().map(|(key, _)| key.as_str())).collect();
        let fingerprints: Vec<_> =
            items.iter().map(|item| item.key.as_ref().map(|(_, print)| print.as_bytes())).collect();
        let all = ToAllColumns::of(items);
        let rows = DeliveryColumns::of(items);
        let (token, lease) = (token.uuid(), lease.as_secs_f64());
        let params: [Param<'_>; 22] = [
            (&ids, Type::UUID_ARRAY),
            (&tenants, Type::UUID_ARRAY),
            (&types, Type::TEXT_ARRAY),
            (&payloads, Type::BYTEA_ARRAY),
            (&keys, Type::TEXT_ARRAY),
            (&fingerprints, Type::BYTEA_ARRAY),
            (&rows.events, Type::UUID_ARRAY),
            (&rows.tenants, Type::UUID_ARRAY),
            (&rows.subscriptions, Type::UUID_ARRAY),
            (&rows.versions, Type::INT8_ARRAY),
            (&rows.leased, Type::BOOL_ARRAY),
            (&token, Type::UUID),
            (&lease, Type::FLOAT8),
            (&all.list_versions, Type::INT8_ARRAY),
            (&rows.to_all, Type::BOOL_ARRAY),
            (&rows.deliver_at, Type::TIMESTAMPTZ_ARRAY),
            (&rows.expires_at, Type::TIMESTAMPTZ_ARRAY),
            (&rows.ordering_keys, Type::TEXT_ARRAY),
            (&all.deliver_at, Type::TIMESTAMPTZ_ARRAY),
            (&all.expires_at, Type::TIMESTAMPTZ_ARRAY),
            (&all.ordering_keys, Type::TEXT_ARRAY),
            (&all.last_deliveries, Type::INT8_ARRAY),
        ];
        let rows = connection.query(&sql::ACCEPT, &params).await?;
        let verdict =
            |row: &Row| Ok((EventId::from(row.try_get::<_, Uuid>("event_id")?), verdict(row.try_get("verdict")?)?));
        Ok(AcceptAnswer {
            verdicts: rows.iter().map(verdict).collect::<Result<_, StoreError>>()?,
            notes: rows.iter().map(notes).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect(),
        })
    }

    /// What these keys stand for, by now.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn find_keys(&self, keys: &[(TenantId, &IdempotencyKey)]) -> Result<Vec<KeyOwner>, StoreError> {
        let mut connection = self.queue().await?.within(ACCEPT_LIMIT);
        let tenants: Vec<_> = keys.iter().map(|(tenant, _)| tenant.uuid()).collect();
        let texts: Vec<_> = keys.iter().map(|(_, key)| key.as_str()).collect();
        let params: [Param<'_>; 2] = [(&tenants, Type::UUID_ARRAY), (&texts, Type::TEXT_ARRAY)];
        let rows = connection.query(&sql::FIND_KEYS, &params).await?;
        let owner = |row: &tokio_postgres::Row| {
            Ok(KeyOwner {
                tenant: row.try_get::<_, Uuid>("tenant_id")?.into(),
                key: row.try_get("key")?,
                event: row.try_get::<_, Uuid>("event_id")?.into(),
                fingerprint: row.try_get("fingerprint")?,
            })
        };
        rows.iter().map(owner).collect()
    }
}

/// The deliveries of all items, a column each.
#[derive(Default)]
struct DeliveryColumns<'a> {
    events: Vec<Uuid>,
    tenants: Vec<Uuid>,
    subscriptions: Vec<Uuid>,
    versions: Vec<i64>,
    leased: Vec<bool>,
    to_all: Vec<bool>,
    deliver_at: Vec<Option<OffsetDateTime>>,
    expires_at: Vec<Option<OffsetDateTime>>,
    ordering_keys: Vec<Option<&'a str>>,
}

impl<'a> DeliveryColumns<'a> {
    fn of(items: &'a [AcceptItem]) -> Self {
        let mut columns = Self::default();
        for item in items {
            for delivery in &item.deliveries {
                columns.events.push(item.event.id.uuid());
                columns.tenants.push(item.event.tenant.uuid());
                columns.subscriptions.push(delivery.subscription.uuid());
                columns.versions.push(delivery.version);
                columns.leased.push(delivery.leased);
                columns.to_all.push(item.list_version.is_some());
                columns.deliver_at.push(item.timing.deliver_at());
                columns.expires_at.push(item.timing.expires_at());
                columns.ordering_keys.push(item.ordering_key.as_ref().map(OrderingKey::as_str));
            }
        }
        columns
    }
}

/// What events to all have of their own, for deliveries that only the statement knows of; a
/// column each. Empty where there are no such events.
#[derive(Default)]
struct ToAllColumns<'a> {
    list_versions: Vec<Option<i64>>,
    deliver_at: Vec<Option<OffsetDateTime>>,
    expires_at: Vec<Option<OffsetDateTime>>,
    ordering_keys: Vec<Option<&'a str>>,
    last_deliveries: Vec<i64>,
}

impl<'a> ToAllColumns<'a> {
    fn of(items: &'a [AcceptItem]) -> Self {
        let mut columns = Self::default();
        if items.iter().all(|item| item.list_version.is_none()) {
            return columns;
        }
        let mut last_delivery = 0;
        for item in items {
            last_delivery += i64::try_from(item.deliveries.len()).unwrap_or(i64::MAX);
            columns.list_versions.push(item.list_version);
            columns.deliver_at.push(item.timing.deliver_at());
            columns.expires_at.push(item.timing.expires_at());
            columns.ordering_keys.push(item.ordering_key.as_ref().map(OrderingKey::as_str));
            columns.last_deliveries.push(last_delivery);
        }
        columns
    }
}

/// One row has them, the others nothing.
fn notes(row: &Row) -> Result<Notes, StoreError> {
    let events: Option<Vec<Uuid>> = row.try_get("noted_events")?;
    let subscriptions: Option<Vec<Uuid>> = row.try_get("noted_subscriptions")?;
    let words: Option<Vec<&str>> = row.try_get("notes")?;
    let pairs = events.into_iter().flatten().zip(subscriptions.into_iter().flatten());
    let noted = pairs.zip(words.into_iter().flatten());
    noted.map(|((event, subscription), word)| Ok(((event.into(), subscription.into()), note(word)?))).collect()
}

fn note(word: &str) -> Result<Note, StoreError> {
    match word {
        "withheld" => Ok(Note::Withheld),
        "changed" => Ok(Note::Changed),
        "gone" => Ok(Note::Gone),
        "added" => Ok(Note::Added),
        other => Err(StoreError::Unreadable(format!("the note '{other}' of an accept"))),
    }
}

fn verdict(word: &str) -> Result<AcceptVerdict, StoreError> {
    match word {
        "accepted" => Ok(AcceptVerdict::Accepted),
        "key_taken" => Ok(AcceptVerdict::KeyTaken),
        "changed" => Ok(AcceptVerdict::Changed),
        other => Err(StoreError::Unreadable(format!("the verdict '{other}' of an accept"))),
    }
}
