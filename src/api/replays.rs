//! `/replays`: repeats ended deliveries of a subscription at a limited rate.

use std::sync::Arc;

use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::Api;
use super::access::{Allowed, Manage, Support};
use super::docs::Resource;
use super::page::{self, Cursor, Limit, List};
use super::parameter::{Path, Queries, Query};
use super::payload::{Answer, Document};
use super::problem::Problem;
use super::text::Moment;
use crate::domain::external_id::SubscriptionName;
use crate::domain::id::{ReplayId, SubscriptionId, TenantId};
use crate::domain::rfc3339;
use crate::store::{NewReplay, Replay};

mod form;
mod plan;

use form::ReplayForm;
use plan::Begun;
pub(super) use plan::{REPEATABLE, ReplayPlan, count_plan, planned};

/// Running replays of a tenant.
pub(super) const MOST_RUNNING: i64 = 10;

pub(super) struct ReplaysApi(pub(super) Arc<Api>);

/// A replay.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all, rename = "Replay")]
pub(super) struct ReplayAnswer {
    /// Its id.
    id: Uuid,
    /// The receiving subscription; null for a replay with `only`.
    subscription_id: Option<Uuid>,
    /// The filters of a replay of deliveries of whatever subscriptions.
    only: Option<Value>,
    /// Where the events go: `original` or `matching`.
    to: &'static str,
    /// How many deliveries there were when it began, or in the dry run that its `token` named; null if they were not
    /// counted.
    total: Option<i64>,
    /// How the repeated deliveries had ended.
    statuses: Vec<String>,
    /// Types of their events; empty for all.
    event_types: Vec<String>,
    /// Only events accepted since then; null for all that are stored.
    since: Option<Moment>,
    /// Only events accepted before.
    until: Moment,
    /// Most deliveries a second.
    rate: i32,
    /// `running`; `finished`: everything selected is requeued; `cancelled`: on request, or because its subscription
    /// was deleted.
    status: String,
    /// Deliveries repeated so far.
    replayed: i64,
    /// Creation time.
    created_at: Moment,
    /// When it ended.
    ended_at: Option<Moment>,
}

/// A page of replays.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct ReplayPage {
    /// The rows.
    data: Vec<ReplayAnswer>,
    /// Cursor of the next page; null on the last.
    next_cursor: Option<String>,
}

#[OpenApi(prefix_path = "/replays", tag = "Resource::Replays")]
impl ReplaysApi {
    /// Begin a replay
    ///
    /// Repeats deliveries of one subscription that ended with one of `statuses`, oldest event first, at most `rate`
    /// per second and within the subscription's own limits. Each gets a whole new retry schedule; attempt numbers
    /// continue. The events are unchanged, including their `webhook-id`. A replay survives the loss of a process; up
    /// to 10 of a tenant run at a time.
    ///
    /// With `only` it repeats deliveries of whatever subscriptions, by the filters of `GET /deliveries`, newest event
    /// first. `dry_run` counts them first; its `token` makes the replay select the same.
    #[oai(path = "/", method = "post", operation_id = "create_replay")]
    async fn create(&self, caller: Allowed<Manage>, body: Document<ReplayForm>) -> Result<Begun, Problem> {
        let now = self.0.clock.now();
        let form = body.read(&self.0.settings.targets)?;
        form.check_kind()?;
        if form.only.is_some() {
            return plan::begin(&self.0, &caller, form).await;
        }
        let required = || Problem::field("/subscription_id", "required", "must be given, or only");
        let (name, rate) = (form.subscription_id.clone().ok_or_else(required)?, form.rate());
        let selection = form.selection(now)?;
        let subscription = self.0.subscription_id(caller.tenant, &name).await?;
        let known = self.0.subscriptions.look_up(caller.tenant, subscription).await?;
        known.ok_or(Problem::SubscriptionNotFound)?;
        let new = NewReplay {
            tenant: caller.tenant,
            id: ReplayId::at(now, uuid::Uuid::new_v4().into_bytes()),
            subscription,
            selection,
            rate,
        };
        let created = self.0.store.create_replay(&new, MOST_RUNNING, caller.actor()).await?;
        created.map(|replay| Begun::Replay(ReplayAnswer::of(replay))).ok_or(Problem::TooManyReplays)
    }

    /// List replays
    ///
    /// Newest first. They are kept for 30 days after their end.
    #[oai(path = "/", method = "get", operation_id = "list_replays")]
    async fn list(
        &self,
        caller: Allowed<Support>,
        /// Only replays of this subscription: id or external id.
        subscription_id: Queries<SubscriptionName>,
        /// Rows of a page.
        limit: Query<Limit>,
        /// `next_cursor` of the previous page.
        cursor: Query<Cursor<{ List::Replays as u8 }>>,
    ) -> Result<Answer<ReplayPage>, Problem> {
        let limit = page::limit(&limit);
        let before = cursor.0.map(|cursor| cursor.0);
        let wanted = i64::try_from(limit + 1).unwrap_or(i64::MAX);
        let subscriptions = self.0.asked_subscriptions(Some(caller.tenant), &subscription_id.0).await?;
        let rows = self.0.store.list_replays(caller.tenant, &subscriptions, before.map(Into::into), wanted).await?;
        let (rows, next_cursor) = page::cut(rows, limit, List::Replays, |row| row.id.uuid());
        Ok(Answer::Value(ReplayPage { data: rows.into_iter().map(ReplayAnswer::of).collect(), next_cursor }))
    }

    /// Read a replay
    #[oai(path = "/:replay_id", method = "get", operation_id = "read_replay")]
    async fn read(
        &self,
        caller: Allowed<Support>,
        /// The replay.
        replay_id: Path<Uuid>,
    ) -> Result<Answer<ReplayAnswer>, Problem> {
        self.answer(caller.tenant, replay_id.0).await
    }

    /// Cancel a replay
    ///
    /// What it has requeued stays in the queue. A replay that has ended is returned unchanged.
    #[oai(path = "/:replay_id/cancel", method = "post", operation_id = "cancel_replay")]
    async fn cancel(
        &self,
        caller: Allowed<Manage>,
        /// The replay.
        replay_id: Path<Uuid>,
    ) -> Result<Answer<ReplayAnswer>, Problem> {
        self.0.store.cancel_replay(caller.tenant, replay_id.0.into(), caller.actor()).await?;
        self.answer(caller.tenant, replay_id.0).await
    }
}

impl ReplaysApi {
    async fn answer(&self, tenant: TenantId, id: Uuid) -> Result<Answer<ReplayAnswer>, Problem> {
        let found = self.0.store.read_replay(tenant, id.into()).await?;
        found.map(|replay| Answer::Value(ReplayAnswer::of(replay))).ok_or(Problem::ReplayNotFound)
    }
}

impl ReplayAnswer {
    fn of(replay: Replay) -> Self {
        let only: Option<Value> = replay.only.as_deref().and_then(|only| serde_json::from_str(only).ok());
        let until = only.as_ref().and_then(|only| rfc3339::parse(only.get("until")?.as_str()?));
        Self {
            id: replay.id.uuid(),
            subscription_id: replay.subscription.map(SubscriptionId::uuid),
            only,
            to: if replay.is_to_matching { "matching" } else { "original" },
            total: replay.total,
            statuses: replay.statuses,
            event_types: replay.event_types,
            since: replay.after.bound_time().map(Moment),
            until: until.into_iter().chain(replay.below.bound_time()).min().map(Moment).unwrap_or_default(),
            rate: replay.rate,
            status: replay.status,
            replayed: replay.replayed,
            created_at: Moment(replay.created_at),
            ended_at: replay.ended_at.map(Moment),
        }
    }
}
