//! `/analytics`: how many deliveries were made, how they ended and how long they took, from roll-ups.

use std::sync::Arc;

use poem_openapi::OpenApi;
use uuid::Uuid;

use super::Api;
use super::access::{AllowedForNamed, Support};
use super::docs::Resource;
use super::parameter::Query;
use super::payload::Answer;
use super::problem::Problem;
use super::text::{Moment, choice};
use crate::domain::external_id::SubscriptionName;
use crate::store::{RollupSource, RollupsAsk, Whose};

mod answer;
mod series;
mod span;

use answer::{AnalyticsSummary, AnalyticsTable};
use series::{Counts, Series, Table};
use span::{Bucket, Span};

/// Roll-ups that one request reads; with histograms about 8 MB.
const MOST_ROWS: i64 = 20_000;
/// Of a summary: 90 days of hours, each with accepted events and up to 26 outcomes.
const MOST_SUMMED: i64 = 60_000;
/// Attempts of the log that one request reads: each needs its event.
const MOST_ATTEMPTS: i64 = 20_000;
/// Rows of an answer, about 4 MB.
const MOST_ANSWERED: usize = 15_000;
const MOST_GROUPS: usize = 100;
/// Deliveries and subscriptions that a summary counts.
const MOST_COUNTED: i64 = 10_000;

pub(super) struct AnalyticsApi(pub(super) Arc<Api>);

choice! {
    /// What each row of a bucket is about.
    pub(super) enum GroupBy {
        /// A subscription.
        Subscription = "subscription",
        /// An event type.
        EventType = "event_type",
        /// What attempts met.
        Outcome = "outcome",
        /// A tenant.
        Tenant = "tenant",
    }
}

#[OpenApi(tag = "Resource::Analytics")]
impl AnalyticsApi {
    /// Deliveries over time
    ///
    /// Counts and percentiles by bucket of time, and by group if wished. Minutes are kept for 48 hours, hours for 90
    /// days. Minutes by subscription or event type, or of one subscription (`subscription_id`), are counted from the
    /// newest 20,000 attempts of the span; `truncated` says that these were not all, and `since` where they begin.
    #[oai(path = "/analytics/deliveries", method = "get", operation_id = "analyse_deliveries")]
    #[expect(clippy::too_many_arguments, reason = "each is a documented parameter of the operation")]
    async fn deliveries(
        &self,
        caller: AllowedForNamed<Support>,
        /// From the bucket that holds this time on; by default 60 buckets of a minute, 72 of five minutes, 24 hours or
        /// 30 days before `until`.
        since: Query<Moment>,
        /// Up to the bucket that holds this time; now by default.
        until: Query<Moment>,
        /// Length of a bucket; by default the shortest of which at most 300 are needed, `1h` without `since`.
        bucket: Query<Bucket>,
        /// A row for each of these.
        group_by: Query<GroupBy>,
        /// Only deliveries of this subscription: id or external id.
        subscription_id: Query<SubscriptionName>,
    ) -> Result<Answer<AnalyticsTable>, Problem> {
        let named = self.0.asked_subscriptions(caller.tenant(), subscription_id.0.as_slice()).await?;
        let (group, subscription) = (group_by.0, named.first().copied());
        let in_hours = subscription.is_none() && matches!(group, Some(GroupBy::Subscription | GroupBy::EventType));
        let span = Span::new(self.0.clock.now(), since.0, until.0, bucket.0, in_hours)?;
        let source = source(&span, group, subscription)?;
        let tenant = caller.tenant();
        let is_of_each =
            group == Some(GroupBy::Tenant) || matches!(source, RollupSource::Subscriptions | RollupSource::Log);
        let whose = tenant.map_or(if is_of_each { Whose::Each } else { Whose::Together }, Whose::One);
        let most = if source == RollupSource::Log { MOST_ATTEMPTS } else { MOST_ROWS };
        let most_groups = (MOST_ANSWERED / span.buckets()).clamp(1, MOST_GROUPS);
        let (since, until) = (span.since, span.until);
        let ask = RollupsAsk { source, whose, subscription, since, until, most, most_tenants: most_groups };
        let progress = self.0.store.rollup_progress().await?;
        let rows = self.0.store.read_rollups(&ask).await?;
        let complete_until = if source == RollupSource::Log { progress.log } else { progress.rollups };
        let mut table = Table::of(rows, span, group, tenant, most_groups);
        if group.is_none() && subscription.is_none() {
            let by_minute = source == RollupSource::Minutes;
            table.waited(&self.0.store.queue_depths(tenant, by_minute, since, until).await?);
        }
        let Table { span, data, truncated } = table;
        Ok(Answer::Value(AnalyticsTable {
            data,
            bucket: span.bucket.word().to_owned(),
            since: Moment(span.since),
            until: Moment(span.until),
            complete_until: Moment(complete_until),
            truncated,
        }))
    }

    /// Summary
    ///
    /// The same numbers over a span of time, and what waits now. Up to 24 hours of the last 48 are exact to the minute,
    /// others to the hour.
    #[oai(path = "/analytics/summary", method = "get", operation_id = "summarise_deliveries")]
    async fn summary(
        &self,
        caller: AllowedForNamed<Support>,
        /// From then on; by default 24 hours before `until`.
        since: Query<Moment>,
        /// Before then; now by default.
        until: Query<Moment>,
    ) -> Result<Answer<AnalyticsSummary>, Problem> {
        let tenant = caller.tenant();
        let span = Span::whole(self.0.clock.now(), since.0, until.0)?;
        let source = if span.bucket == Bucket::Minute { RollupSource::Minutes } else { RollupSource::Hours };
        let whose = tenant.map_or(Whose::Together, Whose::One);
        let (since, until) = (span.since, span.until);
        let ask = RollupsAsk { source, whose, subscription: None, since, until, most: MOST_SUMMED, most_tenants: 1 };
        let progress = self.0.store.rollup_progress().await?;
        let rows = self.0.store.read_rollups(&ask).await?;
        let now = self.0.store.backlog(tenant, MOST_COUNTED).await?;
        let mut series = Series::default();
        rows.iter().for_each(|row| series.add(row, false));
        let Counts { accepted, attempts, delivered, failed, success_rate } = series.counts();
        let (time_to_first_attempt_ms, time_to_delivery_ms) = series.percentiles();
        Ok(Answer::Value(AnalyticsSummary {
            since: Moment(span.since),
            until: Moment(span.until),
            complete_until: Moment(progress.rollups),
            tenant_id: tenant.map(|tenant| tenant.uuid()),
            accepted,
            attempts,
            delivered,
            failed,
            success_rate,
            time_to_first_attempt_ms,
            time_to_delivery_ms,
            pending: now.pending.min(MOST_COUNTED),
            pending_more: now.pending > MOST_COUNTED || now.is_cut,
            held: now.held.min(MOST_COUNTED),
            held_more: now.held > MOST_COUNTED || now.is_cut,
            oldest_due_seconds: (now.oldest_due_seconds * 1_000.0).round() / 1_000.0,
            failing_subscriptions: now.failing.min(MOST_COUNTED),
            failing_subscriptions_more: now.failing > MOST_COUNTED,
        }))
    }
}

/// The smallest roll-up that has the groups and the buckets.
fn source(span: &Span, group: Option<GroupBy>, subscription: Option<Uuid>) -> Result<RollupSource, Problem> {
    let is_fine = span.bucket.is_fine();
    if subscription.is_some() {
        let by_outcome = group == Some(GroupBy::Outcome);
        return Ok(if is_fine || by_outcome { RollupSource::Log } else { RollupSource::Subscriptions });
    }
    if is_fine && span.is_past_minutes {
        let rule = "must be 1h or 1d for times more than 48 hours ago, unless subscription_id is given";
        return Err(Problem::field("/query/bucket", "conflict", rule));
    }
    match group {
        Some(GroupBy::Subscription | GroupBy::EventType) if is_fine => Ok(RollupSource::Log),
        Some(GroupBy::Subscription) => Ok(RollupSource::Subscriptions),
        Some(GroupBy::EventType) => Ok(RollupSource::Types),
        _ if is_fine => Ok(RollupSource::Minutes),
        _ => Ok(RollupSource::Hours),
    }
}
