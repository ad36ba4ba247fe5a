//! The columns of a subscription's policy.

use std::time::Duration;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::StoreError;
use super::connection::Param;
use crate::domain::backoff::RetrySchedule;
use crate::domain::policy::Policy;

pub(super) struct PolicyColumns {
    retry_schedule: Option<String>,
    request_timeout_ms: Option<i32>,
    rate_limit: Option<i32>,
    max_in_flight: Option<i32>,
    is_ordered: bool,
    skip_after_attempts: Option<i32>,
}

impl PolicyColumns {
    pub(super) fn of(policy: &Policy) -> Self {
        let whole = |number: Option<u32>| number.map(|number| i32::try_from(number).unwrap_or(i32::MAX));
        let millis = |limit: Duration| i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
        Self {
            retry_schedule: policy.retry_schedule.as_ref().map(ToString::to_string),
            request_timeout_ms: policy.request_timeout.map(millis),
            rate_limit: whole(policy.rate_limit),
            max_in_flight: whole(policy.max_in_flight),
            is_ordered: policy.is_ordered,
            skip_after_attempts: whole(policy.skip_after_attempts),
        }
    }

    /// In the order that all statements use.
    pub(super) fn params(&self) -> [Param<'_>; 6] {
        [
            (&self.retry_schedule, Type::TEXT),
            (&self.request_timeout_ms, Type::INT4),
            (&self.rate_limit, Type::INT4),
            (&self.max_in_flight, Type::INT4),
            (&self.is_ordered, Type::BOOL),
            (&self.skip_after_attempts, Type::INT4),
        ]
    }
}

pub(super) fn policy(row: &Row) -> Result<Policy, StoreError> {
    let whole = |name: &str| -> Result<Option<u32>, StoreError> {
        Ok(row.try_get::<_, Option<i32>>(name)?.and_then(|number| u32::try_from(number).ok()))
    };
    Ok(Policy {
        retry_schedule: schedule(row)?,
        request_timeout: request_timeout(row)?,
        rate_limit: whole("rate_limit")?,
        max_in_flight: whole("max_in_flight")?,
        is_ordered: row.try_get("is_ordered")?,
        skip_after_attempts: whole("skip_after_attempts")?,
    })
}

/// `None` if a later version wrote it: the instance's schedule applies.
pub(super) fn schedule(row: &Row) -> Result<Option<RetrySchedule>, StoreError> {
    let text: Option<&str> = row.try_get("retry_schedule")?;
    Ok(text.and_then(RetrySchedule::stored))
}

pub(super) fn request_timeout(row: &Row) -> Result<Option<Duration>, StoreError> {
    let millis: Option<i32> = row.try_get("request_timeout_ms")?;
    Ok(millis.and_then(|millis| u64::try_from(millis).ok()).map(Duration::from_millis))
}
