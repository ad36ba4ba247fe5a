//! A row of the outbox as a publication, and what became of it.

use bytes::Bytes;
use time::OffsetDateTime;

use super::look::Settled;
use super::{DAY, OutboxRules, PAUSE};
use crate::domain::external_id::SubscriptionName;
use crate::domain::hops::Hops;
use crate::domain::id::{EventId, TenantId};
use crate::domain::payload::{InvalidPayload, Payload};
use crate::intake::publication::{Address, Publication, Refusal, Times, To};
use crate::intake::{Accepted, FromOutbox};
use crate::store::{DUPLICATE, OutboxRow, RefusedRow, StoreError};

const INVALID: &str = "validation_failed";

pub(super) enum Read {
    Valid(TenantId, EventId, Box<Publication>),
    Refused(RefusedRow),
}

impl Read {
    pub(super) fn publication(&self) -> Option<&Publication> {
        match self {
            Self::Valid(_, _, publication) => Some(publication),
            Self::Refused(..) => None,
        }
    }
}

/// A code and a sentence.
type Reason = (&'static str, String);

pub(super) fn read(row: OutboxRow, rules: OutboxRules, now: OffsetDateTime) -> Read {
    let (id, tenant) = (row.id, row.tenant);
    match publication(row, rules, now) {
        Ok(publication) => Read::Valid(tenant, id, Box::new(publication)),
        Err((code, detail)) => Read::Refused(refused(id, code, detail)),
    }
}

/// Checks again what `publish()` checks, because a row may have been written past it.
fn publication(row: OutboxRow, rules: OutboxRules, now: OffsetDateTime) -> Result<Publication, Reason> {
    let OutboxRow { id, tenant, payload, subscription, .. } = row;
    let age = id.accepted_at().map(|at| now - at);
    let Some(age) = age.filter(|age| *age < rules.lifetime) else {
        return Err((
            "expired",
            "the transaction was open, or no replica published, for longer than POSTRIDER_DELIVERY_LIFETIME".to_owned(),
        ));
    };
    if payload.len() > rules.max_payload_bytes {
        let (bytes, most) = (payload.len(), rules.max_payload_bytes);
        return Err((
            "body_too_large",
            format!("payload: has {bytes} bytes, and POSTRIDER_MAX_PAYLOAD_BYTES is {most}"),
        ));
    }
    let asked = [row.deliver_at, row.expires_at];
    let ordering_key = row.ordering_key.as_deref().map(str::parse).transpose().map_err(rule("ordering_key"))?;
    let times =
        Times::new(asked, ordering_key.is_some(), now, rules.lifetime).map_err(rule("deliver_at, expires_at"))?;
    let to = match subscription {
        Some(id) => To::One(Address { tenant: Some(tenant), name: SubscriptionName::Id(id), headers: None }),
        None => To::All(tenant),
    };
    Ok(Publication {
        to,
        event_type: row.event_type.as_deref().map(str::parse).transpose().map_err(rule("event_type"))?,
        payload: Payload::parse(Bytes::from(payload)).map_err(of_payload)?,
        hops: Hops::default(),
        times,
        key: row.idempotency_key.as_deref().map(str::parse).transpose().map_err(rule("idempotency_key"))?,
        ordering_key,
        from_outbox: Some(FromOutbox { id, is_late: age > DAY }),
    })
}

fn rule<E: std::fmt::Display>(argument: &'static str) -> impl Fn(E) -> Reason {
    move |error| (INVALID, format!("{argument}: {error}"))
}

fn of_payload(error: InvalidPayload) -> Reason {
    let code = if error == InvalidPayload::Malformed { "malformed_json" } else { "payload_invalid" };
    (code, format!("payload: {error}"))
}

/// # Errors
/// The database is away: all rows wait.
pub(super) fn settle(tenant: TenantId, id: EventId, result: Result<Accepted, Refusal>) -> Result<Settled, StoreError> {
    let refusal = match result {
        Ok(accepted) if accepted.event == id => return Ok(Settled::Published),
        Ok(Accepted { event, .. }) => {
            let duplicate = RefusedRow { id, code: DUPLICATE, detail: None, duplicate_of: Some(event) };
            return Ok(Settled::Ended(duplicate));
        }
        Err(refusal) => refusal,
    };
    if refusal.is_unavailable() {
        return Err(StoreError::Unavailable(refusal.to_string()));
    }
    Ok(match (refusal.lasting_code(), refusal) {
        (Some(code), refusal) => Settled::Ended(refused(id, code, refusal.to_string())),
        (None, Refusal::NotTaken | Refusal::Changed) => Settled::NotTaken,
        (None, Refusal::RateLimited { retry_after, .. }) => Settled::Waits(tenant, id, retry_after),
        (None, _) => Settled::Waits(tenant, id, PAUSE),
    })
}

fn refused(id: EventId, code: &'static str, detail: String) -> RefusedRow {
    RefusedRow { id, code, detail: Some(detail), duplicate_of: None }
}
