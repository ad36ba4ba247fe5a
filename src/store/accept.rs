//! Accepting: many events, their deliveries and their idempotency keys in one commit.

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
use crate::domain::ordering::{OrderingGroup, OrderingKey};
use crate::domain::timing::Timing;

#[derive(Debug, Clone)]
pub struct AcceptItem {
    pub event: Event,
    pub key: Option<(IdempotencyKey, Fingerprint)>,
    /// Whether the event is a row of the outbox, which the same commit removes.
    pub is_from_outbox: bool,
    /// For an event to all interested subscriptions: the version of the list that it was matched with.
    pub list_version: Option<i64>,
    /// When it is delivered, at the earliest and at the latest.
    pub timing: Timing,
    /// All items of a statement with a key belong to one tenant, which is then the tenant of all items.
    pub ordering_key: Option<OrderingKey>,
    pub deliveries: Vec<NewDelivery>,
}

#[derive(Debug, Clone, Copy)]
pub struct NewDelivery {
    pub subscription: SubscriptionId,
    pub version: i64,
    /// Whether it is created leased to the token.
    pub leased: bool,
    /// Whether the subscription was ordered when it was matched; the row decides.
    pub is_ordered: bool,
}

impl AcceptItem {
    /// The ordering groups that its deliveries join.
    pub fn groups(&self) -> impl Iterator<Item = OrderingGroup> {
        let ordered = self.deliveries.iter().filter(|delivery| delivery.is_ordered);
        let group = |(delivery, key): (&NewDelivery, &OrderingKey)| OrderingGroup {
            subscription: delivery.subscription,
            key: key.clone(),
        };
        ordered.filter_map(|delivery| self.ordering_key.as_ref().map(|key| (delivery, key))).map(group)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Accepted,
    KeyTaken {
        by: EventId,
        is_same: bool,
    },
    /// Not written: its subscription is inactive or has another version, or the tenant's list has another version.
    Changed,
    /// Not written: another process has its row of the outbox, or one before it in its ordering group waits.
    NotTaken,
}

/// A delivery of a statement: the number of its item, and its own among the item's.
pub type DeliveryIndex = (usize, usize);

#[derive(Debug, Clone, Default)]
pub struct AcceptAnswer {
    pub decisions: Vec<Decision>,
    /// Deliveries that were to be created leased and are not: their subscription is paced or was edited.
    pub released: Vec<DeliveryIndex>,
    /// Deliveries whose subscription was edited since the event was matched.
    pub edited: Vec<DeliveryIndex>,
}

#[derive(Debug, Clone)]
pub struct KeyOwner {
    pub tenant: TenantId,
    pub key: String,
    pub event: EventId,
    pub fingerprint: Vec<u8>,
}

impl Store {
    /// Writes the items in one commit. Leased deliveries belong to `token` for `lease`, or longer if a subscription's
    /// time limit needs it.
    /// After `Unavailable` the commit may have happened all the same.
    pub async fn accept(
        &self,
        items: &[AcceptItem],
        token: LeaseToken,
        lease: Duration,
    ) -> Result<AcceptAnswer, StoreError> {
        let mut connection = self.intake().await?;
        let events = EventColumns::of(items);
        let deliveries = DeliveryColumns::of(items);
        let (token, lease) = (token.uuid(), lease.as_secs_f64());
        let from_outbox: Vec<bool> = items.iter().map(|item| item.is_from_outbox).collect();
        let mut params = Vec::with_capacity(20);
        params.extend(events.params());
        params.extend(deliveries.params());
        params.push((&token, Type::UUID));
        params.push((&lease, Type::FLOAT8));
        let has_rows = from_outbox.contains(&true);
        if has_rows {
            params.push((&from_outbox, Type::BOOL_ARRAY));
        }
        let statement = if has_rows { &sql::ACCEPT_FROM_OUTBOX } else { &sql::ACCEPT };
        let rows = connection.query(statement, &params).await?;
        let row = rows.first().ok_or_else(|| StoreError::Unreadable("an accept has no row".to_owned()))?;
        answer(row, items.len(), &deliveries.indexes, has_rows)
    }

    /// The events that these keys belong to.
    pub async fn find_keys(&self, keys: &[(TenantId, &IdempotencyKey)]) -> Result<Vec<KeyOwner>, StoreError> {
        let mut connection = self.intake().await?;
        let tenants: Vec<_> = keys.iter().map(|(tenant, _)| tenant.uuid()).collect();
        let texts: Vec<_> = keys.iter().map(|(_, key)| key.as_str()).collect();
        let params: [Param<'_>; 2] = [(&tenants, Type::UUID_ARRAY), (&texts, Type::TEXT_ARRAY)];
        let rows = connection.query(&sql::FIND_KEYS, &params).await?;
        let owner = |row: &Row| {
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

fn answer(row: &Row, items: usize, indexes: &[DeliveryIndex], has_rows: bool) -> Result<AcceptAnswer, StoreError> {
    let numbers = |name: &str| -> Result<Vec<usize>, StoreError> {
        let numbers: Vec<i32> = row.try_get(name)?;
        // The database counts from 1.
        Ok(numbers.into_iter().filter_map(|number| usize::try_from(number).ok()?.checked_sub(1)).collect())
    };
    let mut decisions = vec![Decision::Accepted; items];
    let mut decide = |item: usize, decision| {
        if let Some(slot) = decisions.get_mut(item) {
            *slot = decision;
        }
    };
    numbers("changed")?.into_iter().for_each(|item| decide(item, Decision::Changed));
    let (by, same): (Vec<Uuid>, Vec<bool>) = (row.try_get("taken_by")?, row.try_get("taken_by_same")?);
    for (item, (by, is_same)) in numbers("taken")?.into_iter().zip(by.into_iter().zip(same)) {
        decide(item, Decision::KeyTaken { by: by.into(), is_same });
    }
    if has_rows {
        numbers("gone")?.into_iter().for_each(|item| decide(item, Decision::NotTaken));
    }
    let of = |numbers: Vec<usize>| numbers.into_iter().filter_map(|number| indexes.get(number).copied()).collect();
    Ok(AcceptAnswer { decisions, released: of(numbers("released")?), edited: of(numbers("outdated")?) })
}

struct EventColumns<'a> {
    ids: Vec<Uuid>,
    tenants: Vec<Uuid>,
    types: Vec<Option<&'a str>>,
    payloads: Vec<&'a [u8]>,
    /// Null: `application/json`.
    content_types: Vec<Option<&'a str>>,
    sizes: Vec<i32>,
    keys: Vec<Option<&'a str>>,
    fingerprints: Vec<Option<&'a [u8]>>,
    list_versions: Vec<Option<i64>>,
    ordering_keys: Vec<Option<&'a str>>,
    not_before: Vec<Option<OffsetDateTime>>,
    expire_at: Vec<Option<OffsetDateTime>>,
    hops: Vec<Option<i16>>,
}

impl<'a> EventColumns<'a> {
    fn of(items: &'a [AcceptItem]) -> Self {
        let size = |item: &AcceptItem| i32::try_from(item.event.payload.bytes().len()).unwrap_or(i32::MAX);
        Self {
            ids: items.iter().map(|item| item.event.id.uuid()).collect(),
            tenants: items.iter().map(|item| item.event.tenant.uuid()).collect(),
            types: items.iter().map(|item| item.event.event_type.as_ref().map(|name| name.as_str())).collect(),
            payloads: items.iter().map(|item| item.event.payload.bytes().as_ref()).collect(),
            content_types: items.iter().map(|item| item.event.payload.content_type().other_than_json()).collect(),
            sizes: items.iter().map(size).collect(),
            keys: items.iter().map(|item| item.key.as_ref().map(|(key, _)| key.as_str())).collect(),
            fingerprints: items.iter().map(|item| item.key.as_ref().map(|(_, print)| print.as_bytes())).collect(),
            list_versions: items.iter().map(|item| item.list_version).collect(),
            ordering_keys: items.iter().map(|item| item.ordering_key.as_ref().map(OrderingKey::as_str)).collect(),
            not_before: items.iter().map(|item| item.timing.deliver_at()).collect(),
            expire_at: items.iter().map(|item| item.timing.expires_at()).collect(),
            hops: items.iter().map(|item| item.event.hops.stored()).collect(),
        }
    }

    fn params(&self) -> [Param<'_>; 13] {
        [
            (&self.ids, Type::UUID_ARRAY),
            (&self.tenants, Type::UUID_ARRAY),
            (&self.types, Type::TEXT_ARRAY),
            (&self.payloads, Type::BYTEA_ARRAY),
            (&self.content_types, Type::TEXT_ARRAY),
            (&self.sizes, Type::INT4_ARRAY),
            (&self.keys, Type::TEXT_ARRAY),
            (&self.fingerprints, Type::BYTEA_ARRAY),
            (&self.list_versions, Type::INT8_ARRAY),
            (&self.ordering_keys, Type::TEXT_ARRAY),
            (&self.not_before, Type::TIMESTAMPTZ_ARRAY),
            (&self.expire_at, Type::TIMESTAMPTZ_ARRAY),
            (&self.hops, Type::INT2_ARRAY),
        ]
    }
}

/// The deliveries of all items, a column each.
#[derive(Default)]
struct DeliveryColumns {
    indexes: Vec<DeliveryIndex>,
    events: Vec<i32>,
    subscriptions: Vec<Uuid>,
    versions: Vec<i64>,
    leased: Vec<bool>,
}

impl DeliveryColumns {
    fn of(items: &[AcceptItem]) -> Self {
        let mut columns = Self::default();
        for (item, accepted) in items.iter().enumerate() {
            for (number, delivery) in accepted.deliveries.iter().enumerate() {
                columns.indexes.push((item, number));
                columns.events.push(i32::try_from(item + 1).unwrap_or(i32::MAX));
                columns.subscriptions.push(delivery.subscription.uuid());
                columns.versions.push(delivery.version);
                columns.leased.push(delivery.leased);
            }
        }
        columns
    }

    fn params(&self) -> [Param<'_>; 4] {
        [
            (&self.events, Type::INT4_ARRAY),
            (&self.subscriptions, Type::UUID_ARRAY),
            (&self.versions, Type::INT8_ARRAY),
            (&self.leased, Type::BOOL_ARRAY),
        ]
    }
}
