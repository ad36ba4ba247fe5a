//! Adds roll-ups up to the rows of an answer.

use std::collections::HashMap;

use time::OffsetDateTime;
use uuid::Uuid;

use super::super::text::Moment;
use super::GroupBy;
use super::answer::{AnalyticsRow, Percentiles};
use super::span::Span;
use crate::domain::histogram::Histogram;
use crate::domain::id::TenantId;
use crate::store::{QueueDepth, RollupRow};

/// The numbers of one group in one bucket.
#[derive(Debug, Clone, Default)]
pub(super) struct Series {
    accepted: i64,
    attempts: i64,
    delivered: i64,
    first_attempt: Histogram,
    delivery: Histogram,
}

#[derive(Debug)]
pub(super) struct Counts {
    pub(super) accepted: i64,
    pub(super) attempts: i64,
    pub(super) delivered: i64,
    pub(super) failed: i64,
    pub(super) success_rate: Option<f64>,
}

/// A group's name, and its tenant if it is of one.
type Group = (Option<String>, Option<Uuid>);

pub(super) struct Table {
    /// What the rows cover.
    pub(super) span: Span,
    pub(super) data: Vec<AnalyticsRow>,
    pub(super) truncated: bool,
}

impl Series {
    /// `by_start`: the group has no events of its own, so that the first attempts of deliveries count instead.
    pub(super) fn add(&mut self, row: &RollupRow, by_start: bool) {
        self.accepted += if by_start { row.started } else { row.accepted };
        self.attempts += row.attempts;
        self.delivered += row.delivered;
        self.first_attempt.add(&row.first_attempt);
        self.delivery.add(&row.delivery);
    }

    pub(super) fn counts(&self) -> Counts {
        let &Self { accepted, attempts, delivered, .. } = self;
        let success_rate = (attempts > 0).then(|| (delivered as f64 / attempts as f64 * 1e6).round() / 1e6);
        Counts { accepted, attempts, delivered, failed: attempts - delivered, success_rate }
    }

    /// Of the time to the first attempt, and to the delivery.
    pub(super) fn percentiles(&self) -> (Percentiles, Percentiles) {
        (percentiles(&self.first_attempt), percentiles(&self.delivery))
    }
}

fn percentiles(histogram: &Histogram) -> Percentiles {
    let read = |fraction| histogram.percentile(fraction).map(|ms| (ms * 10.0).round() / 10.0);
    Percentiles { p50: read(0.5), p90: read(0.9), p95: read(0.95), p99: read(0.99) }
}

impl Table {
    /// `rows` are newest first; `tenant` is `None` for all.
    pub(super) fn of(
        mut rows: Vec<RollupRow>,
        mut span: Span,
        by: Option<GroupBy>,
        tenant: Option<TenantId>,
        most_groups: usize,
    ) -> Self {
        let is_cut = rows.first().is_some_and(|row| row.more);
        if let Some(oldest) = rows.last().filter(|_| is_cut).map(|row| row.at) {
            span = span.after(oldest);
            rows.retain(|row| row.at >= span.since);
        }
        let mut cells: HashMap<(OffsetDateTime, Group), Series> = HashMap::new();
        let mut sizes: HashMap<Group, (i64, i64)> = HashMap::new();
        if by.is_none() {
            sizes.insert((None, tenant.map(TenantId::uuid)), (0, 0));
        }
        for row in &rows {
            let Some(group) = group_of(row, by, tenant) else { continue };
            let size = sizes.entry(group.clone()).or_default();
            *size = (size.0 + row.attempts, size.1 + row.accepted);
            let by_start = matches!(by, Some(GroupBy::Outcome | GroupBy::Subscription));
            cells.entry((span.bucket_of(row.at), group)).or_default().add(row, by_start);
        }
        let mut groups: Vec<(Group, (i64, i64))> = sizes.into_iter().collect();
        groups.sort_by(|(name, size), (other, than)| than.cmp(size).then_with(|| name.cmp(other)));
        let truncated = is_cut || groups.len() > most_groups;
        groups.truncate(most_groups);
        let mut data = Vec::with_capacity(span.buckets() * groups.len());
        for bucket in span.beginnings() {
            for (group, _) in &groups {
                data.push(answer(bucket, group, cells.remove(&(bucket, group.clone())).unwrap_or_default()));
            }
        }
        Self { span, data, truncated }
    }

    /// Adds the most that waited to rows without groups; nothing where one of a bucket's counts is not known.
    pub(super) fn waited(&mut self, depths: &[QueueDepth]) {
        let span = self.span;
        let mut rows = self.data.iter_mut().peekable();
        for counts in depths.chunk_by(|one, next| span.bucket_of(one.at) == span.bucket_of(next.at)) {
            let bucket = counts.first().map(|count| Moment(span.bucket_of(count.at)));
            while rows.next_if(|row| Some(row.bucket) < bucket).is_some() {}
            if let Some(row) = rows.next_if(|row| Some(row.bucket) == bucket) {
                row.pending = most(counts.iter().map(|count| count.pending));
                row.held = most(counts.iter().map(|count| count.held));
            }
        }
    }
}

fn most(counts: impl Iterator<Item = Option<i64>>) -> Option<i64> {
    counts.reduce(|most, count| Some(most?.max(count?)))?
}

/// `None`: the row says nothing about groups of this kind.
fn group_of(row: &RollupRow, by: Option<GroupBy>, tenant: Option<TenantId>) -> Option<Group> {
    let of_one = tenant.map(TenantId::uuid);
    Some(match by {
        None => (None, of_one),
        Some(GroupBy::Tenant) => (Some(row.tenant.to_string()), Some(row.tenant)),
        Some(GroupBy::Subscription) => (row.subscription.map(|id| id.to_string()), Some(row.tenant)),
        Some(GroupBy::EventType) => (row.event_type.clone().filter(|name| !name.is_empty()), of_one),
        Some(GroupBy::Outcome) => (Some(row.outcome.clone().filter(|word| !word.is_empty())?), of_one),
    })
}

fn answer(bucket: OffsetDateTime, (group, tenant_id): &Group, series: Series) -> AnalyticsRow {
    let Counts { accepted, attempts, delivered, failed, success_rate } = series.counts();
    let (time_to_first_attempt_ms, time_to_delivery_ms) = series.percentiles();
    AnalyticsRow {
        bucket: Moment(bucket),
        group: group.clone(),
        tenant_id: *tenant_id,
        accepted,
        attempts,
        delivered,
        failed,
        success_rate,
        time_to_first_attempt_ms,
        time_to_delivery_ms,
        pending: None,
        held: None,
    }
}
