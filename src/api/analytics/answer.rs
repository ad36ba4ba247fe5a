//! What analytics answer.

use poem_openapi::Object;
use serde::Serialize;
use uuid::Uuid;

use crate::api::text::Moment;

/// Percentiles in milliseconds, at most 4.5 % off; null if nothing was measured.
#[derive(Debug, Default, Object, Serialize)]
#[oai(read_only_all)]
pub(in crate::api) struct Percentiles {
    /// Half took at most this long.
    pub(super) p50: Option<f64>,
    /// 90 % took at most this long.
    pub(super) p90: Option<f64>,
    /// 95 % took at most this long.
    pub(super) p95: Option<f64>,
    /// 99 % took at most this long.
    pub(super) p99: Option<f64>,
}

/// What happened in a bucket.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(in crate::api) struct AnalyticsRow {
    /// Its beginning.
    pub(super) bucket: Moment,
    /// Subscription, event type, outcome or tenant; null without `group_by`, and for events without a type. `(other)`
    /// are event types beyond the first 200 of an hour (20 of a subscription).
    pub(super) group: Option<String>,
    /// The tenant; null if it is about several.
    pub(super) tenant_id: Option<Uuid>,
    /// Accepted events. By subscription or outcome: deliveries whose first attempt began.
    pub(super) accepted: i64,
    /// Attempts that began. Test events count nowhere.
    pub(super) attempts: i64,
    /// Attempts that were answered with 2xx.
    pub(super) delivered: i64,
    /// Other attempts.
    pub(super) failed: i64,
    /// `delivered` of `attempts`, 0 to 1; null without attempts.
    pub(super) success_rate: Option<f64>,
    /// From `accepted_at` or `deliver_at` to the beginning of the first attempt.
    pub(super) time_to_first_attempt_ms: Percentiles,
    /// From `accepted_at` or `deliver_at` to the 2xx, with all retries, without retries by hand and replays.
    pub(super) time_to_delivery_ms: Percentiles,
    /// The most deliveries that were scheduled, due or being sent at one time, counted once a minute; null where they were
    /// not counted, or not all of the tenant, and with `group_by` or `subscription_id`.
    pub(super) pending: Option<i64>,
    /// The most deliveries that were held at one time, likewise.
    pub(super) held: Option<i64>,
}

/// Buckets, oldest first, all of them, those without traffic too; in a bucket the group with most attempts first.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(in crate::api) struct AnalyticsTable {
    /// The rows.
    pub(super) data: Vec<AnalyticsRow>,
    /// Length of a bucket: `1m`, `5m`, `1h` or `1d`.
    pub(super) bucket: String,
    /// Beginning of the first bucket.
    pub(super) since: Moment,
    /// End of the last bucket.
    pub(super) until: Moment,
    /// What was recorded from then on is not counted yet: the newest 15 to 30 seconds, up to about 80 where folding is
    /// expensive.
    pub(super) complete_until: Moment,
    /// There were more groups than the 100 largest that fit, or so many rows that the oldest buckets are missing;
    /// `since` says which are there.
    pub(super) truncated: bool,
}

/// What happened in a span of time, and what waits now.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(in crate::api) struct AnalyticsSummary {
    /// Beginning of the span.
    pub(super) since: Moment,
    /// Its end.
    pub(super) until: Moment,
    /// What was recorded from then on is not counted yet: the newest 15 to 30 seconds, up to about 80 where folding is
    /// expensive.
    pub(super) complete_until: Moment,
    /// The tenant; null for all.
    pub(super) tenant_id: Option<Uuid>,
    /// Accepted events.
    pub(super) accepted: i64,
    /// Attempts that began. Test events count nowhere.
    pub(super) attempts: i64,
    /// Attempts that were answered with 2xx.
    pub(super) delivered: i64,
    /// Other attempts.
    pub(super) failed: i64,
    /// `delivered` of `attempts`, 0 to 1; null without attempts.
    pub(super) success_rate: Option<f64>,
    /// From `accepted_at` or `deliver_at` to the beginning of the first attempt.
    pub(super) time_to_first_attempt_ms: Percentiles,
    /// From `accepted_at` or `deliver_at` to the 2xx, with all retries, without retries by hand and replays.
    pub(super) time_to_delivery_ms: Percentiles,
    /// Deliveries that are scheduled, due or being sent now, up to 10,000.
    pub(super) pending: i64,
    /// There are more.
    pub(super) pending_more: bool,
    /// Deliveries that are held now, up to 10,000.
    pub(super) held: i64,
    /// There are more.
    pub(super) held_more: bool,
    /// How long ago the oldest delivery became due that is neither sent nor held; 0 if there is none.
    pub(super) oldest_due_seconds: f64,
    /// Subscriptions whose last attempts failed, up to 10,000.
    pub(super) failing_subscriptions: i64,
    /// There are more.
    pub(super) failing_subscriptions_more: bool,
}
