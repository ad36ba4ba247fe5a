//! Replays by filter: of all deliveries of a tenant that a filter selects, newest event first.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::audit::changed_by;
use super::connection::Param;
use super::replays::replay;
use super::{Replay, ReplayStep, Store, StoreError, sql};
use crate::domain::actor::Actor;
use crate::domain::id::{EventId, ReplayId, TenantId};

mod chosen;
mod room;
mod wish;

use room::within;

/// Rows of one look, found or not.
const MAX_EXAMINED: i64 = 10_000;
/// Of the 4 s that a statement of the queue may take.
const MAX_EXAMINING_MS: f64 = 1_000.0;
/// Of the 1.3 s that a statement of a request may take.
const MAX_COUNTING_MS: f64 = 600.0;
const MOST_PICKED: i64 = 10_000;
/// Of a dry run.
const SAMPLE: usize = 10;

/// An event and a subscription.
type Pair = (Uuid, Uuid);

/// What a replay by filter repeats.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) tenant: TenantId,
    /// Filters of deliveries, each a list: a JSON document. Without statuses it selects events, whoever got them, and its
    /// subscriptions are those that may get them.
    pub(crate) only: String,
    /// To the subscriptions that want the events now, or to those of the deliveries.
    pub(crate) is_to_matching: bool,
    /// No later event is selected.
    pub(crate) below: EventId,
}

/// A dry run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counted {
    pub(crate) by_subscription: BTreeMap<Uuid, i64>,
    /// The newest of them.
    pub(crate) sample: Vec<Pair>,
    /// Whether the time was enough for all.
    pub(crate) is_whole: bool,
}

/// Pairs of events and subscriptions, and where the next look begins.
struct Picked {
    pairs: Vec<Pair>,
    next: Option<Pair>,
}

impl Store {
    /// Counts what a replay by filter would repeat now, for about as long as `budget`.
    pub(crate) async fn count_plan(&self, plan: &Plan, budget: Duration) -> Result<Counted, StoreError> {
        let (began, mut at) = (Instant::now(), (plan.below.uuid(), Uuid::nil()));
        let mut counted = Counted::default();
        let living = self.living(plan).await?;
        loop {
            let picked = self.pick(plan, at).await?;
            for (event, subscription) in self.chosen_pairs(plan, &living, &picked.pairs).await? {
                *counted.by_subscription.entry(subscription).or_default() += 1;
                if counted.sample.len() < SAMPLE {
                    counted.sample.push((event, subscription));
                }
            }
            let Some(next) = picked.next else {
                counted.is_whole = true;
                return Ok(counted);
            };
            if began.elapsed() > budget {
                return Ok(counted);
            }
            at = next;
        }
    }

    /// Keeps what a dry run has counted, under its token.
    pub(crate) async fn save_plan(&self, plan: &Plan, token: Uuid, total: i64) -> Result<(), StoreError> {
        let (tenant, below) = (plan.tenant.uuid(), plan.below.uuid());
        let params: [Param<'_>; 6] = [
            (&tenant, Type::UUID),
            (&token, Type::UUID),
            (&plan.only, Type::TEXT),
            (&plan.is_to_matching, Type::BOOL),
            (&below, Type::UUID),
            (&total, Type::INT8),
        ];
        self.interactive().await?.query(&sql::SAVE_PLAN, &params).await.map(drop)
    }

    /// What a dry run of this tenant has counted.
    pub(crate) async fn read_plan(&self, tenant: TenantId, token: Uuid) -> Result<Option<(Plan, i64)>, StoreError> {
        let id = tenant.uuid();
        let params: [Param<'_>; 2] = [(&id, Type::UUID), (&token, Type::UUID)];
        let rows = self.interactive().await?.query(&sql::READ_PLAN, &params).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let plan = Plan {
            tenant,
            only: row.try_get("selection")?,
            is_to_matching: row.try_get("is_to_matching")?,
            below: row.try_get::<_, Uuid>("below_id")?.into(),
        };
        Ok(Some((plan, row.try_get("total")?)))
    }

    /// Creates a replay by filter. `None` if `most_running` of the tenant are running.
    pub(crate) async fn begin_plan(
        &self,
        plan: &Plan,
        (id, rate, total): (ReplayId, u32, Option<i64>),
        most_running: i64,
        actor: &Actor,
    ) -> Result<Option<Replay>, StoreError> {
        let (tenant, id, below) = (plan.tenant.uuid(), id.uuid(), plan.below.uuid());
        let (rate, by) = (i32::try_from(rate).unwrap_or(i32::MAX), changed_by(actor));
        let params: [Param<'_>; 9] = [
            (&tenant, Type::UUID),
            (&id, Type::UUID),
            (&plan.only, Type::TEXT),
            (&plan.is_to_matching, Type::BOOL),
            (&below, Type::UUID),
            (&rate, Type::INT4),
            (&total, Type::INT8),
            (&most_running, Type::INT8),
            (&by, Type::TEXT),
        ];
        let rows = self.interactive().await?.query(&sql::BEGIN_PLAN, &params).await?;
        rows.first().map(replay).transpose()
    }

    /// Runs the next step of a replay by filter. `None` if it is not due.
    pub(super) async fn step_plan(
        &self,
        (tenant, id): (TenantId, ReplayId),
        lifetime: Duration,
        most: i64,
    ) -> Result<Option<ReplayStep>, StoreError> {
        let (owner, replay, lifetime) = (tenant.uuid(), id.uuid(), lifetime.as_secs_f64());
        let asked: [Param<'_>; 5] = [
            (&owner, Type::UUID),
            (&replay, Type::UUID),
            (&most, Type::INT8),
            (&MAX_EXAMINED, Type::INT8),
            (&MAX_EXAMINING_MS, Type::FLOAT8),
        ];
        let looked = self.queue().await?.query(&sql::PICK_FOR_REPLAY, &asked).await?;
        let Some(look) = looked.first() else { return Ok(None) };
        let Some(room) = look.try_get::<_, Option<i64>>("room")? else { return Ok(None) };
        let at: Pair = (look.try_get("began_event")?, look.try_get("began_subscription")?);
        let (events, subscriptions): (Vec<Uuid>, Vec<Uuid>) =
            (look.try_get("event_ids")?, look.try_get("subscription_ids")?);
        let next: Option<Uuid> = look.try_get("looked_event")?;
        let next = next.map(|event| Ok::<_, StoreError>((event, look.try_get("looked_subscription")?))).transpose()?;
        let plan = Plan {
            tenant,
            only: look.try_get("selection")?,
            is_to_matching: look.try_get("is_to_matching")?,
            below: EventId::new(at.0),
        };
        let picked: Vec<Pair> = events.into_iter().zip(subscriptions).collect();
        let living = self.living(&plan).await?;
        let next = after(&plan, &picked, next);
        let chosen = self.chosen_pairs(&plan, &living, &picked).await?;
        let (chosen, next) = within(chosen, usize::try_from(room).unwrap_or(usize::MAX), next);
        let (events, subscriptions): (Vec<Uuid>, Vec<Uuid>) = chosen.into_iter().unzip();
        let (next_event, next_subscription) = next.unzip();
        let params: [Param<'_>; 9] = [
            (&owner, Type::UUID),
            (&replay, Type::UUID),
            (&lifetime, Type::FLOAT8),
            (&at.0, Type::UUID),
            (&at.1, Type::UUID),
            (&next_event, Type::UUID),
            (&next_subscription, Type::UUID),
            (&events, Type::UUID_ARRAY),
            (&subscriptions, Type::UUID_ARRAY),
        ];
        let rows = self.queue().await?.query(&sql::REQUEUE_FOR_REPLAY, &params).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let Some(written) = row.try_get("written")? else { return Ok(None) };
        Ok(Some(ReplayStep { written, may_go_on: row.try_get("may_go_on")? }))
    }

    /// The newest deliveries that it selects, up to 10,000, and whether those are all.
    pub(crate) async fn pick_newest(&self, plan: &Plan) -> Result<(Vec<Pair>, bool), StoreError> {
        let picked = self.pick(plan, (plan.below.uuid(), Uuid::nil())).await?;
        Ok((picked.pairs, picked.next.is_none()))
    }

    async fn pick(&self, plan: &Plan, before: Pair) -> Result<Picked, StoreError> {
        let tenant = plan.tenant.uuid();
        let params: [Param<'_>; 7] = [
            (&tenant, Type::UUID),
            (&plan.only, Type::TEXT),
            (&before.0, Type::UUID),
            (&before.1, Type::UUID),
            (&MOST_PICKED, Type::INT8),
            (&MAX_EXAMINED, Type::INT8),
            (&MAX_COUNTING_MS, Type::FLOAT8),
        ];
        let (mut pairs, mut next) = (Vec::new(), None);
        for row in &self.interactive().await?.query(&sql::PICK_DELIVERIES, &params).await? {
            match row.try_get::<_, Option<Uuid>>("examined_event")? {
                Some(event) => next = Some((event, row.try_get("examined_subscription")?)),
                None => pairs.push((row.try_get("event_id")?, row.try_get("subscription_id")?)),
            }
        }
        if i64::try_from(pairs.len()).is_ok_and(|found| found >= MOST_PICKED) {
            next = pairs.last().copied();
        }
        let next = after(plan, &pairs, next);
        Ok(Picked { pairs, next })
    }
}

/// Where the next look begins. An event that was found is sent to all who want it, whichever deliveries of it follow.
fn after(plan: &Plan, pairs: &[Pair], next: Option<Pair>) -> Option<Pair> {
    let (event, below) = next?;
    let is_done = plan.is_to_matching && pairs.last().is_some_and(|(last, _)| *last == event);
    Some((event, if is_done { Uuid::nil() } else { below }))
}
