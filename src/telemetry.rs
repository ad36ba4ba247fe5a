//! Logs and metrics. Each process part has its own registry, so that two postriders can run in one process.

mod lines;
mod log;

pub use lines::Lines;
pub use log::{Log, LogFilter};

use prometheus::core::Collector;
use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
    TextEncoder,
};

use crate::domain::outcome::Outcome;

const LATENCY_SECONDS: [f64; 16] =
    [0.001, 0.002, 0.003, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3_600.0];
const REQUEST_SECONDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
/// Values of the label `reason` of [`Metrics::refusals_lost`].
const LOST: [&str; 3] = ["rate", "full", "database"];
const LIMITS: [&str; 2] = ["publish_per_second", "max_subscriptions"];
const CACHE_RESULTS: [&str; 5] = ["hit", "miss", "refused", "failed", "bypassed"];
/// Values of the label `state` of [`Metrics::breakers`].
pub const BREAKER_STATES: [&str; 4] = ["failing", "open", "throttled", "recovering"];
/// Values of the label `fault` of [`Metrics::local_faults`].
const LOCAL_FAULTS: [&str; 5] = ["descriptors", "ports", "memory", "forbidden", "lookups"];
const LOG_LINES_DROPPED: &str = "postrider_log_lines_dropped_total";
const BATCH_ROWS: [f64; 8] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0];

#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    pub requests: IntCounterVec,
    pub request_seconds: HistogramVec,
    pub body_bytes: Gauge,
    pub bodies_refused: IntCounter,
    pub accepted: IntCounter,
    pub accept_batch: Histogram,
    pub attempts: IntCounterVec,
    pub local_faults: IntCounterVec,
    pub latency: Histogram,
    pub record_batch: Histogram,
    pub fenced: IntCounter,
    pub cut_off: IntCounter,
    pub takes: IntCounterVec,
    pub lanes: Gauge,
    pub in_flight: Gauge,
    pub in_flight_bytes: Gauge,
    pub pending: Gauge,
    pub oldest_due: Gauge,
    pub breakers: GaugeVec,
    pub limit_refusals: IntCounterVec,
    pub outbox_rows: Gauge,
    pub outbox_oldest: Gauge,
    pub outbox_published: IntCounter,
    pub outbox_refused: IntCounter,
    pub refusals_lost: IntCounterVec,
    pub partitions_dropped: IntCounter,
    pub partitions_ahead: Gauge,
    pub partitions_past: Gauge,
    pub connections: GaugeVec,
    pub clock_skew: Gauge,
    pub cache_requests: IntCounterVec,
    pub cache_available: Gauge,
    pub log_lines_dropped: IntCounter,
}

impl Metrics {
    /// Of a process whose log is not counted, as in tests.
    pub fn new() -> Self {
        Self::with_log(Log::dropped_counter())
    }

    /// `log_lines_dropped` is the log's own counter: there is one log in a process.
    #[expect(clippy::too_many_lines, reason = "one entry for each metric, and nothing else")]
    pub fn with_log(log_lines_dropped: IntCounter) -> Self {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, label: &str, values: &[&str]| {
            let counters = register(&registry, IntCounterVec::new(Opts::new(name, help), &[label]));
            // Exports a series before its first count, so that alerts can use it.
            values.iter().for_each(|value| drop(counters.with_label_values(&[value])));
            counters
        };
        let outcomes = Outcome::ALL.map(Outcome::as_str);
        let attempts = counters("postrider_attempts_total", "Attempts made, by outcome.", "outcome", &outcomes);
        let questions = "Questions to Redis: hit, miss, refused (not ours), failed, bypassed (Redis is away).";
        let cache_requests = counters("postrider_cache_requests_total", questions, "result", &CACHE_RESULTS);
        let takes = "Statements that took due deliveries: some, or none.";
        let takes = counters("postrider_takes_total", takes, "result", &["some", "none"]);
        let breakers = Opts::new("postrider_breakers", "Subscriptions that are not well, by state of their breaker.");
        let breakers = register(&registry, GaugeVec::new(breakers, &["state"]));
        for state in BREAKER_STATES {
            breakers.with_label_values(&[state]);
        }
        let connections = Opts::new("postrider_db_connections", "Connections to PostgreSQL, by state.");
        let counter = |name: &str, help: &str| register(&registry, IntCounter::new(name, help));
        let gauge = |name: &str, help: &str| register(&registry, Gauge::new(name, help));
        let histogram = |name: &str, help: &str, bounds: &[f64]| {
            register(&registry, Histogram::with_opts(HistogramOpts::new(name, help).buckets(bounds.to_vec())))
        };
        let requests = Opts::new("postrider_requests_total", "Requests answered by the API.");
        let request_seconds = HistogramOpts::new("postrider_request_seconds", "From a request's head to its answer.");
        Self {
            requests: register(&registry, IntCounterVec::new(requests, &["operation", "status"])),
            request_seconds: register(
                &registry,
                HistogramVec::new(request_seconds.buckets(REQUEST_SECONDS.to_vec()), &["operation"]),
            ),
            body_bytes: gauge("postrider_request_body_bytes", "Bytes reserved for request bodies."),
            bodies_refused: counter("postrider_request_bodies_refused_total", "Requests refused for lack of memory."),
            accepted: counter("postrider_events_accepted_total", "Events committed."),
            accept_batch: histogram("postrider_accept_batch_rows", "Events in one accepting statement.", &BATCH_ROWS),
            attempts,
            local_faults: counters(
                "postrider_local_faults_total",
                "Deliveries handed back unsent because of this machine.",
                "fault",
                &LOCAL_FAULTS,
            ),
            latency: histogram("postrider_delivery_latency_seconds", "From acceptance to a 2xx.", &LATENCY_SECONDS),
            record_batch: histogram("postrider_record_batch_rows", "Reports in one recording statement.", &BATCH_ROWS),
            fenced: counter(
                "postrider_reports_fenced_total",
                "Reports that came after their lease had gone to another.",
            ),
            cut_off: counter("postrider_attempts_cut_off_total", "Attempts found cut off by a lapsed lease."),
            takes,
            lanes: gauge("postrider_lanes", "Subscriptions that this worker knows to have something due."),
            in_flight: gauge("postrider_in_flight", "Deliveries in flight in this process."),
            in_flight_bytes: gauge("postrider_in_flight_bytes", "Bytes of the deliveries in flight in this process."),
            pending: gauge("postrider_pending_deliveries", "Deliveries pending in the database, about."),
            oldest_due: gauge(
                "postrider_oldest_due_seconds",
                "Age of the oldest due delivery that waits for a worker.",
            ),
            breakers,
            limit_refusals: counters("postrider_limit_refusals_total", "Refusals by a limit.", "limit", &LIMITS),
            outbox_rows: gauge("postrider_outbox_rows", "Committed rows in the outbox, counted up to 10,000."),
            outbox_oldest: gauge("postrider_outbox_oldest_seconds", "Age of the oldest committed row in the outbox."),
            outbox_published: counter("postrider_outbox_published_total", "Rows of the outbox that became events."),
            outbox_refused: counter(
                "postrider_outbox_refused_total",
                "Rows of the outbox that ended as refused or as duplicates.",
            ),
            refusals_lost: counters(
                "postrider_refusals_lost_total",
                "Refused requests that /refusals does not show: rate (too many), full (the queue), database.",
                "reason",
                &LOST,
            ),
            partitions_dropped: counter(
                "postrider_retention_partitions_dropped_total",
                "Partitions dropped because nothing in them was owed or young enough.",
            ),
            partitions_past: gauge(
                "postrider_retention_partitions_past",
                "Partitions past their retention that had to stay at the last look.",
            ),
            partitions_ahead: gauge("postrider_partitions_ahead", "Days after today for which partitions stand."),
            connections: register(&registry, GaugeVec::new(connections, &["state"])),
            clock_skew: gauge("postrider_clock_skew_seconds", "Difference between this clock and the database's."),
            cache_requests,
            cache_available: gauge("postrider_cache_available", "Whether Redis is in use: 1 or 0."),
            log_lines_dropped: register(&registry, Ok(log_lines_dropped)),
            registry,
        }
    }

    pub fn render(&self) -> String {
        let mut text = Vec::new();
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn register<M: Collector + Clone + 'static>(registry: &Registry, metric: prometheus::Result<M>) -> M {
    let metric = metric.expect("names and labels are constants of the right form");
    registry.register(Box::new(metric.clone())).expect("each name is registered once");
    metric
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_is_there_from_the_start() {
        let text = Metrics::new().render();
        for outcome in Outcome::ALL {
            assert!(text.contains(&format!("postrider_attempts_total{{outcome=\"{outcome}\"}} 0")), "{outcome}");
        }
    }
}
