//! Delivery options in bodies and responses.

use std::time::Duration;

use poem_openapi::Object;
use serde::Serialize;

use crate::api::form::{Field, Whole, form};
use crate::domain::backoff::RetrySchedule;
use crate::domain::policy::{
    MAX_IN_FLIGHT, MAX_RATE_LIMIT, MAX_REQUEST_TIMEOUT_MS, MAX_SKIP_AFTER, MIN_REQUEST_TIMEOUT_MS, Policy,
};

/// Delivery options; null: the instance's setting.
#[derive(Debug, Default, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct PolicyFields {
    /// When failed deliveries are retried.
    retry_schedule: Option<String>,
    /// Time limit of one attempt, in milliseconds.
    request_timeout_ms: Option<u64>,
    /// Maximum requests per second, over all replicas; null: no limit.
    rate_limit: Option<u32>,
    /// Maximum concurrent requests, over all replicas.
    max_in_flight: Option<u32>,
    /// Whether events with an ordering key are delivered one after the other, in the order of their acceptance.
    ordered: bool,
    /// Failed attempts after which an ordered delivery is skipped.
    skip_after_attempts: Option<u32>,
}

impl PolicyFields {
    pub(super) fn of(policy: &Policy) -> Self {
        let millis = |limit: Duration| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        Self {
            retry_schedule: policy.retry_schedule.as_ref().map(ToString::to_string),
            request_timeout_ms: policy.request_timeout.map(millis),
            rate_limit: policy.rate_limit,
            max_in_flight: policy.max_in_flight,
            ordered: policy.is_ordered,
            skip_after_attempts: policy.skip_after_attempts,
        }
    }
}

form! {
    /// Delivery options to change; null: the instance's setting.
    pub(super) struct PolicyChanges {
        /// When failed deliveries are retried: `standard`, `fast`, `day`, `none`, or the delays between attempts, 1 s
        /// to 24 h each, separated by commas, as in `10s,5m,2h`. Null: the instance's setting.
        retry_schedule: Field<RetrySchedule>,
        /// Time limit of one attempt, in milliseconds. Null: the instance's setting.
        request_timeout_ms: Field<Whole<MIN_REQUEST_TIMEOUT_MS, MAX_REQUEST_TIMEOUT_MS>>,
        /// Maximum requests per second, over all replicas. Null: no limit.
        rate_limit: Field<Whole<1, MAX_RATE_LIMIT>>,
        /// Maximum concurrent requests, over all replicas. Null: the instance's setting.
        max_in_flight: Field<Whole<1, MAX_IN_FLIGHT>>,
        /// Whether events with an ordering key are delivered one after the other, in the order of their acceptance.
        ordered: Field<bool>,
        /// Failed attempts after which an ordered delivery is skipped for the next one. Null: when its schedule ends.
        skip_after_attempts: Field<Whole<1, MAX_SKIP_AFTER>>,
    }
}

impl PolicyChanges {
    /// Missing fields get the default.
    pub(super) fn or_default(self) -> Self {
        Self {
            retry_schedule: self.retry_schedule.or_null(),
            request_timeout_ms: self.request_timeout_ms.or_null(),
            rate_limit: self.rate_limit.or_null(),
            max_in_flight: self.max_in_flight.or_null(),
            ordered: self.ordered.or_null(),
            skip_after_attempts: self.skip_after_attempts.or_null(),
        }
    }

    pub(super) fn over(&self, current: &Policy) -> Policy {
        let timeout = self.request_timeout_ms.map(|millis| Duration::from_millis(millis.0.into()));
        Policy {
            retry_schedule: self.retry_schedule.clone().over(current.retry_schedule.clone()),
            request_timeout: timeout.over(current.request_timeout),
            rate_limit: self.rate_limit.map(|most| most.0).over(current.rate_limit),
            max_in_flight: self.max_in_flight.map(|most| most.0).over(current.max_in_flight),
            is_ordered: self.ordered.over(Some(current.is_ordered)).unwrap_or_default(),
            skip_after_attempts: self.skip_after_attempts.map(|most| most.0).over(current.skip_after_attempts),
        }
    }
}
