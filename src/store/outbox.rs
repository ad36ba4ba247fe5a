//! The outbox: rows that callers' transactions insert with `postrider.publish()`, until intake publishes them.

use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::Param;
use super::finding::{EventRow, event_row};
use super::{Store, StoreError, sql};
use crate::domain::id::{EventId, SubscriptionId, TenantId};

/// The code of a row whose idempotency key was used for the same event.
pub(crate) const DUPLICATE: &str = "duplicate";

/// The lease of the process that publishes from the outbox.
#[derive(Debug, Clone, Copy)]
pub struct Lead {
    pub is_mine: bool,
    /// How long its holder has it.
    pub left: Duration,
}

#[derive(Debug, Clone)]
pub struct OutboxRow {
    pub id: EventId,
    pub tenant: TenantId,
    pub event_type: Option<String>,
    pub payload: Vec<u8>,
    pub subscription: Option<SubscriptionId>,
    pub idempotency_key: Option<String>,
    pub ordering_key: Option<String>,
    pub deliver_at: Option<OffsetDateTime>,
    pub expires_at: Option<OffsetDateTime>,
}

#[derive(Debug, Clone, Copy)]
pub struct PageAsk<'a> {
    pub after: EventId,
    pub only: Option<TenantId>,
    pub left_out: &'a [Uuid],
    pub rows: i32,
    pub bytes: i64,
    pub examined: i32,
}

#[derive(Debug, Clone)]
pub struct OutboxPage {
    pub rows: Vec<OutboxRow>,
    /// The last id examined.
    pub reached: EventId,
    pub is_end: bool,
}

#[derive(Debug, Clone)]
pub struct RefusedRow {
    pub id: EventId,
    /// As of a problem of the API.
    pub code: &'static str,
    pub detail: Option<String>,
    /// The code is `duplicate` then.
    pub duplicate_of: Option<EventId>,
}

/// A row that is or was in the outbox and is no event.
#[derive(Debug, Clone)]
pub(crate) struct Unpublished {
    /// Accepted means here: `publish()` was called.
    pub(crate) facts: EventRow,
    pub(crate) state: UnpublishedAs,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UnpublishedAs {
    Waiting,
    DuplicateOf(EventId),
    /// A code and a sentence.
    Refused(String, String),
}

/// Where `publish()` is, and who may call it.
#[derive(Debug, Clone)]
pub(crate) struct Publishers {
    pub(crate) schema: String,
    pub(crate) schema_of_tables: String,
    /// Another installation of the database has the schema `postrider`.
    pub(crate) is_taken: bool,
    pub(crate) has_role: bool,
    pub(crate) may_publish: bool,
}

impl Store {
    /// Takes or prolongs the lease for `process`, which takes payloads up to `max_payload_bytes`, due up to `lifetime`
    /// ahead.
    pub(crate) async fn lead_outbox(
        &self,
        process: Uuid,
        lease: Duration,
        max_payload_bytes: usize,
        lifetime: Duration,
    ) -> Result<Lead, StoreError> {
        let (lease, lifetime) = (lease.as_secs_f64(), lifetime.as_secs_f64());
        let most = i32::try_from(max_payload_bytes).unwrap_or(i32::MAX);
        let params: [Param<'_>; 4] =
            [(&process, Type::UUID), (&lease, Type::FLOAT8), (&most, Type::INT4), (&lifetime, Type::FLOAT8)];
        let rows = self.queue().await?.query(&sql::LEAD_OUTBOX, &params).await?;
        let row = rows.first().ok_or_else(|| StoreError::Unreadable("the outbox has no lease".to_owned()))?;
        let left: Option<f64> = row.try_get("seconds_left")?;
        let left = Duration::try_from_secs_f64(left.unwrap_or_default()).unwrap_or_default();
        Ok(Lead { is_mine: row.try_get::<_, Option<bool>>("is_mine")?.unwrap_or_default(), left })
    }

    pub(crate) async fn leave_outbox(&self, process: Uuid) -> Result<(), StoreError> {
        self.queue().await?.query(&sql::LEAVE_OUTBOX, &[(&process, Type::UUID)]).await.map(drop)
    }

    /// The next rows in the order of their ids.
    pub(crate) async fn outbox_page(&self, ask: PageAsk<'_>) -> Result<OutboxPage, StoreError> {
        let (after, only) = (ask.after.uuid(), ask.only.map(TenantId::uuid));
        let params: [Param<'_>; 6] = [
            (&after, Type::UUID),
            (&only, Type::UUID),
            (&ask.left_out, Type::UUID_ARRAY),
            (&ask.rows, Type::INT4),
            (&ask.bytes, Type::INT8),
            (&ask.examined, Type::INT4),
        ];
        let rows = self.queue().await?.query(&sql::OUTBOX_PAGE, &params).await?;
        let first = rows.first().ok_or_else(|| StoreError::Unreadable("the outbox has no page".to_owned()))?;
        let (reached, is_end) = (first.try_get::<_, Uuid>("reached")?.into(), first.try_get("is_end")?);
        let mut page = OutboxPage { rows: Vec::with_capacity(rows.len()), reached, is_end };
        for row in &rows {
            if let Some(id) = row.try_get::<_, Option<Uuid>>("id")? {
                page.rows.push(outbox_row(row, id)?);
            }
        }
        Ok(page)
    }

    /// Ends rows that can never be published, and keeps them with their reasons.
    pub(crate) async fn refuse_from_outbox(&self, refused: &[RefusedRow]) -> Result<i64, StoreError> {
        let ids: Vec<Uuid> = refused.iter().map(|row| row.id.uuid()).collect();
        let codes: Vec<&str> = refused.iter().map(|row| row.code).collect();
        let details: Vec<Option<&str>> = refused.iter().map(|row| row.detail.as_deref()).collect();
        let duplicates: Vec<Option<Uuid>> = refused.iter().map(|row| row.duplicate_of.map(EventId::uuid)).collect();
        let params: [Param<'_>; 4] = [
            (&ids, Type::UUID_ARRAY),
            (&codes, Type::TEXT_ARRAY),
            (&details, Type::TEXT_ARRAY),
            (&duplicates, Type::UUID_ARRAY),
        ];
        let rows = self.queue().await?.query(&sql::REFUSE_FROM_OUTBOX, &params).await?;
        Ok(rows.first().map(|row| row.try_get("refused")).transpose()?.unwrap_or(0))
    }

    /// What `publish()` returned this id for, if it is no event yet or never will be.
    pub(crate) async fn find_unpublished(
        &self,
        tenant: TenantId,
        id: EventId,
    ) -> Result<Option<Unpublished>, StoreError> {
        let (tenant, id) = (tenant.uuid(), id.uuid());
        let params: [Param<'_>; 2] = [(&tenant, Type::UUID), (&id, Type::UUID)];
        let rows = self.interactive().await?.query(&sql::FIND_IN_OUTBOX, &params).await?;
        rows.first().map(unpublished).transpose()
    }

    /// The payload of a row that waits or was refused.
    pub(crate) async fn read_unpublished_payload(
        &self,
        tenant: TenantId,
        id: EventId,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let (tenant, id) = (tenant.uuid(), id.uuid());
        let params: [Param<'_>; 2] = [(&tenant, Type::UUID), (&id, Type::UUID)];
        let rows = self.interactive().await?.query(&sql::READ_UNPUBLISHED_PAYLOAD, &params).await?;
        Ok(rows.first().map(|row| row.try_get("payload")).transpose()?)
    }

    /// Rows that wait, up to `most`, and how long the oldest has waited.
    pub(crate) async fn outbox_size(&self, most: i64) -> Result<(i64, Duration), StoreError> {
        read_size(&self.maintenance().await?.query(&sql::OUTBOX_SIZE, &[(&most, Type::INT8)]).await?)
    }

    /// The same, given up after the time limit of a request of the API.
    pub(crate) async fn outbox_size_in_time(&self, most: i64) -> Result<(i64, Duration), StoreError> {
        read_size(&self.interactive().await?.query(&sql::OUTBOX_SIZE, &[(&most, Type::INT8)]).await?)
    }

    /// `None`: somebody dropped or renamed the functions.
    pub(crate) async fn publishers(&self) -> Result<Option<Publishers>, StoreError> {
        let rows = self.interactive().await?.query(&sql::PUBLISHERS, &[]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(Publishers {
            schema: row.try_get("place")?,
            schema_of_tables: row.try_get("of_schema")?,
            is_taken: row.try_get("is_taken")?,
            has_role: row.try_get("has_role")?,
            may_publish: row.try_get("may_publish")?,
        }))
    }

    /// Deletes up to `most` refused rows and duplicates that ended longer ago. Returns how many.
    pub(crate) async fn forget_unpublished(&self, older_than: Duration, most: i64) -> Result<i64, StoreError> {
        let older_than = older_than.as_secs_f64();
        let params: [Param<'_>; 2] = [(&older_than, Type::FLOAT8), (&most, Type::INT8)];
        let rows = self.maintenance().await?.query(&sql::FORGET_UNPUBLISHED, &params).await?;
        Ok(rows.first().map(|row| row.try_get("forgotten")).transpose()?.unwrap_or(0))
    }
}

fn read_size(rows: &[Row]) -> Result<(i64, Duration), StoreError> {
    let Some(row) = rows.first() else { return Ok((0, Duration::ZERO)) };
    let oldest: f64 = row.try_get("oldest_seconds")?;
    Ok((row.try_get("waiting")?, Duration::try_from_secs_f64(oldest).unwrap_or_default()))
}

fn outbox_row(row: &Row, id: Uuid) -> Result<OutboxRow, StoreError> {
    Ok(OutboxRow {
        id: id.into(),
        tenant: row.try_get::<_, Uuid>("tenant_id")?.into(),
        event_type: row.try_get("event_type")?,
        payload: row.try_get("payload")?,
        subscription: row.try_get::<_, Option<Uuid>>("subscription_id")?.map(SubscriptionId::from),
        idempotency_key: row.try_get("idempotency_key")?,
        ordering_key: row.try_get("ordering_key")?,
        deliver_at: row.try_get("deliver_at")?,
        expires_at: row.try_get("expires_at")?,
    })
}

fn unpublished(row: &Row) -> Result<Unpublished, StoreError> {
    let (code, detail): (Option<String>, Option<String>) = (row.try_get("code")?, row.try_get("detail")?);
    let duplicate_of: Option<Uuid> = row.try_get("duplicate_of")?;
    let state = match (code, duplicate_of) {
        (None, _) => UnpublishedAs::Waiting,
        (Some(_), Some(event)) => UnpublishedAs::DuplicateOf(event.into()),
        (Some(code), None) => UnpublishedAs::Refused(code, detail.unwrap_or_default()),
    };
    Ok(Unpublished { facts: event_row(row)?, state })
}
