//! Replays: deliveries of one subscription that are repeated step by step.

use std::collections::HashSet;
use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::audit::changed_by;
use super::connection::Param;
use super::finding::given;
use super::payloads::PAYLOAD_BYTES;
use super::{Store, StoreError, sql};
use crate::domain::actor::Actor;
use crate::domain::event_type::EventTypeFilter;
use crate::domain::filter::Filter;
use crate::domain::id::{EventId, ReplayId, SubscriptionId, TenantId};
use crate::domain::replay::{FAN_OUT, Selection, missed};

#[derive(Debug, Clone)]
pub struct NewReplay {
    pub tenant: TenantId,
    pub id: ReplayId,
    pub subscription: SubscriptionId,
    pub selection: Selection,
    pub rate: u32,
}

#[derive(Debug, Clone)]
pub struct Replay {
    pub id: ReplayId,
    /// `None` for a replay by filter.
    pub(crate) subscription: Option<SubscriptionId>,
    /// Filters of deliveries as a JSON document.
    pub(crate) only: Option<String>,
    pub(crate) is_to_matching: bool,
    /// Deliveries when it was planned, if they were counted.
    pub(crate) total: Option<i64>,
    pub(crate) statuses: Vec<String>,
    /// Patterns; empty = all.
    pub(crate) event_types: Vec<String>,
    pub(crate) after: EventId,
    pub(crate) below: EventId,
    pub(crate) rate: i32,
    /// `running`, `finished` or `cancelled`.
    pub status: String,
    pub replayed: i64,
    pub(crate) created_at: OffsetDateTime,
    pub ended_at: Option<OffsetDateTime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayStep {
    /// Requeued deliveries, plus one for a system event at the end.
    pub written: i64,
    /// Whether the next step need not wait.
    pub may_go_on: bool,
}

impl Store {
    /// Creates a replay. `None` if `most_running` of the tenant are running.
    pub async fn create_replay(
        &self,
        new: &NewReplay,
        most_running: i64,
        actor: &Actor,
    ) -> Result<Option<Replay>, StoreError> {
        let (tenant, id, subscription) = (new.tenant.uuid(), new.id.uuid(), new.subscription.uuid());
        let Selection { statuses, event_types, after, below } = &new.selection;
        let statuses: Vec<&str> = statuses.iter().map(|status| status.as_str()).collect();
        let event_types: Vec<&str> = event_types.patterns().iter().map(|pattern| pattern.as_str()).collect();
        let (after, below, rate) = (after.uuid(), below.uuid(), i32::try_from(new.rate).unwrap_or(i32::MAX));
        let by = changed_by(actor);
        let params: [Param<'_>; 10] = [
            (&tenant, Type::UUID),
            (&id, Type::UUID),
            (&subscription, Type::UUID),
            (&statuses, Type::TEXT_ARRAY),
            (&event_types, Type::TEXT_ARRAY),
            (&after, Type::UUID),
            (&below, Type::UUID),
            (&rate, Type::INT4),
            (&most_running, Type::INT8),
            (&by, Type::TEXT),
        ];
        let rows = self.interactive().await?.query(&sql::CREATE_REPLAY, &params).await?;
        rows.first().map(replay).transpose()
    }

    pub async fn read_replay(&self, tenant: TenantId, id: ReplayId) -> Result<Option<Replay>, StoreError> {
        Ok(self.replays(tenant, Some(id), &[], None, 1).await?.into_iter().next())
    }

    /// Newest first, with ids below `before`.
    pub(crate) async fn list_replays(
        &self,
        tenant: TenantId,
        subscriptions: &[Uuid],
        before: Option<ReplayId>,
        limit: i64,
    ) -> Result<Vec<Replay>, StoreError> {
        self.replays(tenant, None, subscriptions, before, limit).await
    }

    async fn replays(
        &self,
        tenant: TenantId,
        one: Option<ReplayId>,
        subscriptions: &[Uuid],
        before: Option<ReplayId>,
        limit: i64,
    ) -> Result<Vec<Replay>, StoreError> {
        let (tenant, one, before) = (tenant.uuid(), one.map(ReplayId::uuid), before.map(ReplayId::uuid));
        let subscriptions = given(subscriptions);
        let params: [Param<'_>; 5] = [
            (&tenant, Type::UUID),
            (&one, Type::UUID),
            (&subscriptions, Type::UUID_ARRAY),
            (&before, Type::UUID),
            (&limit, Type::INT8),
        ];
        self.interactive().await?.query(&sql::LIST_REPLAYS, &params).await?.iter().map(replay).collect()
    }

    pub(crate) async fn cancel_replay(&self, tenant: TenantId, id: ReplayId, actor: &Actor) -> Result<(), StoreError> {
        let (tenant, id, by) = (tenant.uuid(), id.uuid(), changed_by(actor));
        let params: [Param<'_>; 3] = [(&tenant, Type::UUID), (&id, Type::UUID), (&by, Type::TEXT)];
        self.interactive().await?.query(&sql::CANCEL_REPLAY, &params).await.map(drop)
    }

    pub async fn running_replays(&self, most: i64) -> Result<Vec<(TenantId, ReplayId)>, StoreError> {
        let rows = self.interactive().await?.query(&sql::RUNNING_REPLAYS, &[(&most, Type::INT8)]).await?;
        let named = |row: &Row| {
            let (tenant, id): (Uuid, Uuid) = (row.try_get("tenant_id")?, row.try_get("id")?);
            Ok((tenant.into(), id.into()))
        };
        rows.iter().map(named).collect()
    }

    /// Runs the next step over `most` events. `None` if it is not due.
    pub async fn step_replay(
        &self,
        (tenant, id): (TenantId, ReplayId),
        lifetime: Duration,
        most: i64,
    ) -> Result<Option<ReplayStep>, StoreError> {
        let (tenant, id, lifetime) = (tenant.uuid(), id.uuid(), lifetime.as_secs_f64());
        let asked: [Param<'_>; 3] = [(&tenant, Type::UUID), (&id, Type::UUID), (&most, Type::INT8)];
        // Uses the queue's pinned plans.
        let looked = self.queue().await?.query(&sql::LOOK_AT_REPLAY, &asked).await?;
        let Some(look) = looked.first() else { return Ok(None) };
        let Some(room) = look.try_get::<_, Option<i64>>("room")? else {
            return self.step_plan((tenant.into(), id.into()), Duration::from_secs_f64(lifetime), most).await;
        };
        let Choice { chosen, looked_to, is_last } = self.choose(tenant.into(), look).await?;
        let reached: Uuid = look.try_get("reached")?;
        let params: [Param<'_>; 8] = [
            (&tenant, Type::UUID),
            (&id, Type::UUID),
            (&lifetime, Type::FLOAT8),
            (&reached, Type::UUID),
            (&room, Type::INT8),
            (&looked_to, Type::UUID),
            (&is_last, Type::BOOL),
            (&chosen, Type::UUID_ARRAY),
        ];
        let rows = self.queue().await?.query(&sql::STEP_REPLAY, &params).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let Some(written) = row.try_get("written")? else { return Ok(None) };
        Ok(Some(ReplayStep { written, may_go_on: row.try_get("may_go_on")? }))
    }

    /// Deletes up to `most` replays that ended so long ago, and old plans of dry runs; how many of each.
    pub async fn forget_replays(&self, ended_before: Duration, most: i64) -> Result<(i64, i64), StoreError> {
        let ended_before = ended_before.as_secs_f64();
        let params: [Param<'_>; 2] = [(&ended_before, Type::FLOAT8), (&most, Type::INT8)];
        let rows = self.maintenance().await?.query(&sql::FORGET_REPLAYS, &params).await?;
        let Some(row) = rows.first() else { return Ok((0, 0)) };
        Ok((row.try_get("forgotten")?, row.try_get("forgotten_plans")?))
    }
}

/// What the replay repeats of a look.
struct Choice {
    chosen: Vec<Uuid>,
    looked_to: Option<Uuid>,
    is_last: bool,
}

impl Store {
    /// Missed events must meet the subscription's filter too. What it could not be decided on, because their payloads are
    /// too large together, is left to the next look.
    async fn choose(&self, tenant: TenantId, look: &Row) -> Result<Choice, StoreError> {
        let candidates = candidates(look)?;
        let (looked_to, is_last) = (look.try_get("looked_to")?, look.try_get("is_last")?);
        let filter = look.try_get::<_, Option<&str>>("filter")?.map(Filter::parse).transpose();
        let filter = filter.map_err(|rule| StoreError::Unreadable(format!("a filter: {rule}")))?;
        let missed = candidates.iter().filter(|(_, is_filtered)| *is_filtered).map(|(event, _)| (*event).into());
        let missed: Vec<EventId> = missed.collect();
        let all = candidates.iter().map(|(event, _)| *event);
        let Some(filter) = filter.filter(|_| !missed.is_empty()) else {
            return Ok(Choice { chosen: all.collect(), looked_to, is_last });
        };
        let (mut matching, mut bytes, mut decided_to) = (HashSet::new(), 0, None);
        for payload in self.payloads(tenant, &missed).await? {
            if payload.judge().matches(&filter) {
                matching.insert(payload.event.uuid());
            }
            bytes += payload.bytes.len();
            decided_to = Some(payload.event.uuid());
            // A look may have thousands of payloads.
            tokio::task::yield_now().await;
        }
        let cut =
            decided_to.filter(|event| bytes >= PAYLOAD_BYTES && missed.last().map(|last| last.uuid()) != Some(*event));
        let is_chosen = |(event, is_filtered): &(Uuid, bool)| {
            cut.is_none_or(|cut| *event <= cut) && (!is_filtered || matching.contains(event))
        };
        let chosen = candidates.into_iter().filter(is_chosen).map(|(event, _)| event).collect();
        Ok(match cut {
            Some(cut) => Choice { chosen, looked_to: Some(cut), is_last: false },
            None => Choice { chosen, looked_to, is_last },
        })
    }
}

/// Events of the look that the replay repeats, each with whether the filter has its say: if it was published to all and
/// missed.
fn candidates(look: &Row) -> Result<Vec<(Uuid, bool)>, StoreError> {
    let filter = |column| -> Result<EventTypeFilter, StoreError> {
        let patterns: Vec<String> = look.try_get(column)?;
        EventTypeFilter::stored(&patterns).map_err(|rule| StoreError::Unreadable(format!("an event type: {rule}")))
    };
    let (replayed, wanted, statuses) =
        (filter("replayed_types")?, filter("wanted_types")?, look.try_get::<_, Vec<&str>>("statuses")?);
    let (events, endings): (Vec<Uuid>, Vec<&str>) = (look.try_get("event_ids")?, look.try_get("endings")?);
    let types: Vec<Option<&str>> = look.try_get("event_types")?;
    let chosen = |(event, (event_type, ending)): (Uuid, (Option<&str>, &str))| {
        let event_type = event_type.and_then(|text| text.parse().ok());
        let missed = missed(ending, event_type.as_ref(), &wanted);
        let is_chosen = statuses.contains(&missed.unwrap_or(ending)) && replayed.check(event_type.as_ref()).is_ok();
        is_chosen.then_some((event, missed.is_some() && ending == FAN_OUT))
    };
    Ok(events.into_iter().zip(types.into_iter().zip(endings)).filter_map(chosen).collect())
}

pub(super) fn replay(row: &Row) -> Result<Replay, StoreError> {
    Ok(Replay {
        id: row.try_get::<_, Uuid>("id")?.into(),
        subscription: row.try_get::<_, Option<Uuid>>("subscription_id")?.map(Into::into),
        only: row.try_get("selection")?,
        is_to_matching: row.try_get("is_to_matching")?,
        total: row.try_get("total")?,
        statuses: row.try_get("statuses")?,
        event_types: row.try_get("event_types")?,
        after: row.try_get::<_, Uuid>("after_id")?.into(),
        below: row.try_get::<_, Uuid>("below_id")?.into(),
        rate: row.try_get("rate")?,
        status: row.try_get("status")?,
        replayed: row.try_get("replayed")?,
        created_at: row.try_get("created_at")?,
        ended_at: row.try_get("ended_at")?,
    })
}
