//! `/replays`: deliveries of a subscription that ended, made again, a few at a time.

use std::sync::Arc;

use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use uuid::Uuid;

use super::Api;
use super::access::{Admin, Allowed, Support};
use super::docs::Resource;
use super::page::{self, Cursor, Limit, List};
use super::parameter::{Path, Query};
use super::payload::{Answer, Document};
use super::problem::Problem;
use super::text::Moment;
use crate::domain::external_id::SubscriptionName;
use crate::domain::id::{ReplayId, TenantId};
use crate::store::{NewReplay, Replay};

mod form;

use form::ReplayForm;

/// Most replays of a tenant that run at a time.
const MOST_RUNNING: i64 = 10;

/// The resource.
pub(super) struct ReplaysApi(pub(super) Arc<Api>);

/// A replay as it stands.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all, rename = "Replay")]
pub(super) struct ReplayAnswer {
    /// Its id.
    id: Uuid,
    /// Whom it sends to.
    subscription_id: Uuid,
    /// How the deliveries ended that it makes again.
    statuses: Vec<String>,
    /// Which types their events have; empty for all.
    event_types: Vec<String>,
    /// Events accepted from then on; null for all that are kept.
    since: Option<Moment>,
    /// Events accepted before.
    until: Moment,
    /// Most deliveries a second.
    rate: i32,
    /// `running`; `finished`: all that it is for is in the queue again or has ended there;
    /// `cancelled`: by somebody, or with its subscription.
    status: String,
    /// Deliveries made again so far.
    replayed: i64,
    /// When it was begun.
    created_at: Moment,
    /// When it ended, however it did.
    ended_at: Option<Moment>,
}

/// A page of replays.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct ReplayPage {
    /// The rows.
    data: Vec<ReplayAnswer>,
    /// Asks for the next page; null on the last.
    next_cursor: Option<String>,
}

#[OpenApi(prefix_path = "/replays", tag = "Resource::Replays")]
impl ReplaysApi {
    /// Begin a replay
    ///
    /// Deliveries of one subscription that ended as `statuses` say are made again, those of
    /// older events first, `rate` a second at most and never faster than the subscription is
    /// served: with their whole retry schedule, and with attempt numbers that go on. Events are
    /// sent as they were accepted, under their own `webhook-id`. It goes on by itself, whatever
    /// happens to the process that took it; 10 of a tenant run at a time.
    #[oai(path = "/", method = "post", operation_id = "create_replay")]
    async fn create(
        &self,
        caller: Allowed<Admin>,
        body: Document<ReplayForm>,
    ) -> Result<Answer<ReplayAnswer, 202>, Problem> {
        let now = self.0.clock.now();
        let form = body.read(&self.0.settings.targets)?;
        let (name, rate) = (form.subscription_id.clone(), form.rate());
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
        created.map(|replay| Answer::Value(ReplayAnswer::of(replay))).ok_or(Problem::TooManyReplays)
    }

    /// List replays
    ///
    /// Newest first, a page at a time. They are kept for 30 days after their end.
    #[oai(path = "/", method = "get", operation_id = "list_replays")]
    async fn list(
        &self,
        caller: Allowed<Support>,
        /// Only those of this subscription, by its id or its external id.
        subscription_id: Query<SubscriptionName>,
        /// Rows of a page.
        limit: Query<Limit>,
        /// `next_cursor` of the page before.
        cursor: Query<Cursor<{ List::Replays as u8 }>>,
    ) -> Result<Answer<ReplayPage>, Problem> {
        let limit = page::limit(&limit);
        let before = cursor.0.map(|cursor| cursor.0);
        let wanted = i64::try_from(limit + 1).unwrap_or(i64::MAX);
        let subscription = self.0.asked_subscription(caller.tenant, subscription_id.0.as_ref()).await?;
        let rows = self.0.store.list_replays(caller.tenant, subscription, before.map(Into::into), wanted).await?;
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
    /// What it has made again stays in the queue; the rest stays as it is. One that has ended
    /// is answered as it is.
    #[oai(path = "/:replay_id/cancel", method = "post", operation_id = "cancel_replay")]
    async fn cancel(
        &self,
        caller: Allowed<Admin>,
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
        Self {
            id: replay.id.uuid(),
            subscription_id: replay.subscription.uuid(),
            statuses: replay.statuses,
            event_types: replay.event_types,
            since: replay.after.floor_of().map(Moment),
            until: replay.below.floor_of().map(Moment).unwrap_or_default(),
            rate: replay.rate,
            status: replay.status,
            replayed: replay.replayed,
            created_at: Moment(replay.created_at),
            ended_at: replay.ended_at.map(Moment),
        }
    }
}
