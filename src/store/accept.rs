//! Accepting: many events, their deliveries and their idempotency keys in one commit.

use std::time::Duration;

use tokio_postgres::types::Type;

use super::connection::Param;
use super::{Store, StoreError, sql};
use crate::domain::event::Event;
use crate::domain::id::{EventId, LeaseToken, SubscriptionId, TenantId};
use crate::domain::idempotency::{Fingerprint, IdempotencyKey};

/// Most time an accepting statement may take: its clients wait for it.
const ACCEPT_LIMIT: Duration = Duration::from_millis(1_200);

/// One event to accept, with the one delivery it is addressed to.
#[derive(Debug, Clone)]
pub struct AcceptItem {
    /// The event.
    pub event: Event,
    /// Its idempotency key and what the request was, where it has one.
    pub key: Option<(IdempotencyKey, Fingerprint)>,
    /// The subscription it is addressed to.
    pub subscription: SubscriptionId,
    /// The version of the subscription that the event was checked against.
    pub version: i64,
    /// Whether the delivery is born leased to the token.
    pub leased: bool,
}

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcceptVerdict {
    /// Committed.
    Accepted,
    /// Committed, and the delivery is held for whoever owns its subscription's pace: it is not
    /// leased, whatever was asked for.
    Paced,
    /// Not written: the idempotency key stands for another event.
    KeyTaken,
    /// Not written: the subscription has another version by now, or is not active.
    Changed,
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
    /// Deliveries born leased belong to `token` for `lease` from the database's now.
    ///
    /// # Errors
    /// [`StoreError`]; after `Unavailable` the commit may have happened all the same.
    pub async fn accept(
        &self,
        items: &[AcceptItem],
        token: LeaseToken,
        lease: Duration,
    ) -> Result<Vec<(EventId, AcceptVerdict)>, StoreError> {
        let mut connection = self.queue().await?.within(ACCEPT_LIMIT);
        let ids: Vec<_> = items.iter().map(|item| item.event.id.uuid()).collect();
        let tenants: Vec<_> = items.iter().map(|item| item.event.tenant.uuid()).collect();
        let types: Vec<_> = items.iter().map(|item| item.event.event_type.as_ref().map(|name| name.as_str())).collect();
        let payloads: Vec<_> = items.iter().map(|item| item.event.payload.bytes().as_ref()).collect();
        let keys: Vec<_> = items.iter().map(|item| item.key.as_ref().map(|(key, _)| key.as_str())).collect();
        let fingerprints: Vec<_> =
            items.iter().map(|item| item.key.as_ref().map(|(_, print)| print.as_bytes())).collect();
        let subscriptions: Vec<_> = items.iter().map(|item| item.subscription.uuid()).collect();
        let versions: Vec<_> = items.iter().map(|item| item.version).collect();
        let leased: Vec<_> = items.iter().map(|item| item.leased).collect();
        let (token, lease) = (token.uuid(), lease.as_secs_f64());
        let params: [Param<'_>; 13] = [
            (&ids, Type::UUID_ARRAY),
            (&tenants, Type::UUID_ARRAY),
            (&types, Type::TEXT_ARRAY),
            (&payloads, Type::BYTEA_ARRAY),
            (&keys, Type::TEXT_ARRAY),
            (&fingerprints, Type::BYTEA_ARRAY),
            (&ids, Type::UUID_ARRAY),
            (&tenants, Type::UUID_ARRAY),
            (&subscriptions, Type::UUID_ARRAY),
            (&versions, Type::INT8_ARRAY),
            (&leased, Type::BOOL_ARRAY),
            (&token, Type::UUID),
            (&lease, Type::FLOAT8),
        ];
        let rows = connection.query(&sql::ACCEPT, &params).await?;
        rows.iter()
            .map(|row| {
                Ok((
                    EventId::from(row.try_get::<_, uuid::Uuid>("event_id")?),
                    verdict(row.try_get("verdict")?, row.try_get("is_paced")?)?,
                ))
            })
            .collect()
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
                tenant: row.try_get::<_, uuid::Uuid>("tenant_id")?.into(),
                key: row.try_get("key")?,
                event: row.try_get::<_, uuid::Uuid>("event_id")?.into(),
                fingerprint: row.try_get("fingerprint")?,
            })
        };
        rows.iter().map(owner).collect()
    }
}

fn verdict(word: &str, is_paced: bool) -> Result<AcceptVerdict, StoreError> {
    match word {
        "accepted" if is_paced => Ok(AcceptVerdict::Paced),
        "accepted" => Ok(AcceptVerdict::Accepted),
        "key_taken" => Ok(AcceptVerdict::KeyTaken),
        "changed" => Ok(AcceptVerdict::Changed),
        other => Err(StoreError::Unreadable(format!("the verdict '{other}' of an accept"))),
    }
}
