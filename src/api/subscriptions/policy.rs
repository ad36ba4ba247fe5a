//! The fields of a policy: documented, read strictly, answered.

use std::time::Duration;

use poem_openapi::Object;
use serde::Serialize;

use crate::api::strict::{Field, Fields};
use crate::domain::backoff::RetrySchedule;
use crate::domain::policy::{MAX_IN_FLIGHT, MAX_RATE_LIMIT, MAX_SKIP_AFTER, Policy, REQUEST_TIMEOUT_RANGE};

/// How a subscription wants to be served.
#[derive(Debug, Default, Object, Serialize)]
pub(super) struct PolicyFields {
    /// When failed deliveries are tried again: `standard`, `fast`, `day`, `none`, or the delays
    /// between attempts, 1 s to 24 h each, separated by commas, as in `10s,5m,2h`. Null: as the
    /// instance does.
    #[oai(validator(max_length = 1000))]
    retry_schedule: Option<String>,
    /// Time limit of one attempt, in milliseconds. Null: as the instance does.
    #[oai(validator(minimum(value = "1000"), maximum(value = "60000")))]
    request_timeout_ms: Option<u64>,
    /// Most requests a second, over all replicas. Null: no limit.
    #[oai(validator(minimum(value = "1"), maximum(value = "100000")))]
    rate_limit: Option<u32>,
    /// Most requests at a time, over all replicas. Null: as the instance does.
    #[oai(validator(minimum(value = "1"), maximum(value = "10000")))]
    max_in_flight: Option<u32>,
    /// Whether events with an ordering key are delivered one after the other, in the order in
    /// which they were accepted.
    ordered: Option<bool>,
    /// Attempts after which an ordered delivery that fails is skipped and makes room for the
    /// next. Null: when its schedule ends.
    #[oai(validator(minimum(value = "1"), maximum(value = "1000")))]
    skip_after_attempts: Option<u32>,
}

impl PolicyFields {
    /// The fields of a policy.
    pub(super) fn of(policy: &Policy) -> Self {
        let millis = |limit: Duration| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        Self {
            retry_schedule: policy.retry_schedule.as_ref().map(ToString::to_string),
            request_timeout_ms: policy.request_timeout.map(millis),
            rate_limit: policy.rate_limit,
            max_in_flight: policy.max_in_flight,
            ordered: Some(policy.is_ordered),
            skip_after_attempts: policy.skip_after_attempts,
        }
    }
}

/// What a body decides of a policy; `Absent` where it says nothing, `Null` where it asks for
/// what the instance does.
#[derive(Debug)]
pub(super) struct PolicyChanges {
    retry_schedule: Field<RetrySchedule>,
    request_timeout_ms: Field<u32>,
    rate_limit: Field<u32>,
    max_in_flight: Field<u32>,
    ordered: Field<bool>,
    skip_after_attempts: Field<u32>,
}

impl PolicyChanges {
    /// Takes its fields out of a body.
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        let millis = |limit: &Duration| u32::try_from(limit.as_millis()).unwrap_or(u32::MAX);
        let timeout = millis(REQUEST_TIMEOUT_RANGE.start())..=millis(REQUEST_TIMEOUT_RANGE.end());
        Self {
            retry_schedule: read_schedule(fields),
            request_timeout_ms: fields.whole("request_timeout_ms", timeout),
            rate_limit: fields.whole("rate_limit", 1..=MAX_RATE_LIMIT),
            max_in_flight: fields.whole("max_in_flight", 1..=MAX_IN_FLIGHT),
            ordered: fields.boolean("ordered"),
            skip_after_attempts: fields.whole("skip_after_attempts", 1..=MAX_SKIP_AFTER),
        }
    }

    /// What it says nothing of takes the default.
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

    /// The policy with these changes.
    pub(super) fn over(&self, current: &Policy) -> Policy {
        let timeout = current.request_timeout;
        Policy {
            retry_schedule: self.retry_schedule.clone().over(current.retry_schedule.clone()),
            request_timeout: match self.request_timeout_ms {
                Field::Absent => timeout,
                Field::Null => None,
                Field::Given(millis) => Some(Duration::from_millis(millis.into())),
            },
            rate_limit: self.rate_limit.over(current.rate_limit),
            max_in_flight: self.max_in_flight.over(current.max_in_flight),
            is_ordered: self.ordered.over(Some(current.is_ordered)).unwrap_or_default(),
            skip_after_attempts: self.skip_after_attempts.over(current.skip_after_attempts),
        }
    }
}

fn read_schedule(fields: &mut Fields<'_>) -> Field<RetrySchedule> {
    match fields.text("retry_schedule") {
        Field::Absent => Field::Absent,
        Field::Null => Field::Null,
        Field::Given(text) => match RetrySchedule::own(&text) {
            Ok(schedule) => Field::Given(schedule),
            Err(rule) => {
                fields.refuse("/retry_schedule", "invalid_schedule", rule);
                Field::Absent
            }
        },
    }
}
