//! Records a batch of outcomes in one commit, fenced by lease tokens.

use time::OffsetDateTime;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::Param;
use super::{Store, StoreError, sql};
use crate::domain::attempt::Attempt;
use crate::domain::delivery::Report;
use crate::domain::detail::Detail;
use crate::domain::id::SubscriptionId;
use crate::domain::next_step::NextStep;
use crate::domain::trigger::Trigger;

#[derive(Debug, Default)]
pub struct Recorded {
    pub recorded: usize,
    /// Deliveries whose lease belongs to another worker.
    pub fenced: usize,
    pub(crate) disabled: Vec<SubscriptionId>,
    /// Subscriptions with a success that were failing.
    pub(crate) failing: Vec<SubscriptionId>,
}

impl Store {
    /// Reports of lost leases change nothing. On an error nothing of the batch is recorded.
    pub async fn record(&self, reports: &[Report]) -> Result<Recorded, StoreError> {
        let mut connection = self.queue().await?;
        // Rows are locked in this order.
        let mut sorted: Vec<&Report> = reports.iter().collect();
        sorted.sort_by_key(|report| report.key);
        let (mut deliveries, mut attempts) = (Deliveries::default(), Attempts::default());
        for (index, report) in sorted.into_iter().enumerate() {
            deliveries.push(report);
            for attempt in &report.attempts {
                attempts.push(index + 1, report, attempt);
            }
        }
        let next: Param<'_> = (&deliveries.next_triggers, Type::TEXT_ARRAY);
        let params: Vec<Param<'_>> = deliveries.params().into_iter().chain(attempts.params()).chain([next]).collect();
        let rows = connection.query(&sql::RECORD, &params).await?;
        let row = rows.first().ok_or_else(|| StoreError::Unreadable("a recording has no row".to_owned()))?;
        let recorded = usize::try_from(row.try_get::<_, i32>("recorded")?).unwrap_or(0);
        let ids = |name: &str| Ok::<Vec<Uuid>, StoreError>(row.try_get(name)?);
        Ok(Recorded {
            recorded,
            fenced: reports.len().saturating_sub(recorded),
            disabled: ids("disabled")?.into_iter().map(SubscriptionId::from).collect(),
            failing: ids("failing")?.into_iter().map(SubscriptionId::from).collect(),
        })
    }
}

#[derive(Default)]
struct Deliveries {
    tenants: Vec<Uuid>,
    events: Vec<Uuid>,
    subscriptions: Vec<Uuid>,
    tokens: Vec<Uuid>,
    steps: Vec<&'static str>,
    delays: Vec<f64>,
    attempts: Vec<i32>,
    free_attempts: Vec<i32>,
    statuses: Vec<Option<&'static str>>,
    reasons: Vec<Option<&'static str>>,
    versions: Vec<i64>,
    disable_reasons: Vec<Option<&'static str>>,
    next_triggers: Vec<Option<&'static str>>,
}

impl Deliveries {
    fn push(&mut self, report: &Report) {
        // One attempt was counted when the delivery was leased.
        let made = i32::try_from(report.attempts.len()).unwrap_or(i32::MAX);
        let (step, delay, end) = match report.step {
            NextStep::Done => ("done", 0.0, None),
            NextStep::RetryIn(delay) => ("retry", delay.as_secs_f64(), None),
            NextStep::GiveUp(reason) => ("give_up", 0.0, Some(reason)),
            NextStep::HandBack(delay) => ("hand_back", delay.as_secs_f64(), None),
        };
        self.tenants.push(report.key.tenant.uuid());
        self.events.push(report.key.event.uuid());
        self.subscriptions.push(report.key.subscription.uuid());
        self.tokens.push(report.token.uuid());
        self.steps.push(step);
        self.delays.push(delay);
        self.attempts.push(made - 1);
        self.free_attempts.push(i32::try_from(report.free_attempts).unwrap_or(i32::MAX));
        self.statuses.push(end.map(|reason| reason.status()));
        self.reasons.push(end.map(|reason| reason.as_str()));
        self.versions.push(report.subscription_version);
        self.disable_reasons.push(report.disable_reason());
        // The schedule follows from the number of the attempt.
        self.next_triggers
            .push(Some(report.next_trigger()).filter(|next| *next != Trigger::Schedule).map(Trigger::as_str));
    }

    fn params(&self) -> [Param<'_>; 12] {
        [
            (&self.tenants, Type::UUID_ARRAY),
            (&self.events, Type::UUID_ARRAY),
            (&self.subscriptions, Type::UUID_ARRAY),
            (&self.tokens, Type::UUID_ARRAY),
            (&self.steps, Type::TEXT_ARRAY),
            (&self.delays, Type::FLOAT8_ARRAY),
            (&self.attempts, Type::INT4_ARRAY),
            (&self.free_attempts, Type::INT4_ARRAY),
            (&self.statuses, Type::TEXT_ARRAY),
            (&self.reasons, Type::TEXT_ARRAY),
            (&self.versions, Type::INT8_ARRAY),
            (&self.disable_reasons, Type::TEXT_ARRAY),
        ]
    }
}

#[derive(Default)]
struct Attempts<'a> {
    deliveries: Vec<i32>,
    ids: Vec<Uuid>,
    types: Vec<Option<&'a str>>,
    numbers: Vec<i32>,
    outcomes: Vec<&'a str>,
    statuses: Vec<Option<i16>>,
    messages: Vec<Option<String>>,
    bodies: Vec<Option<&'a [u8]>>,
    remotes: Vec<Option<String>>,
    durations: Vec<i32>,
    times: Vec<OffsetDateTime>,
    triggers: Vec<Option<&'static str>>,
    details: Vec<Option<String>>,
}

impl<'a> Attempts<'a> {
    /// `delivery` counts from 1.
    fn push(&mut self, delivery: usize, report: &'a Report, attempt: &'a Attempt) {
        let answer = &attempt.answer;
        self.deliveries.push(i32::try_from(delivery).unwrap_or(i32::MAX));
        self.ids.push(attempt.id.uuid());
        self.types.push(report.event_type.as_ref().map(|name| name.as_str()));
        self.numbers.push(i32::try_from(attempt.number).unwrap_or(i32::MAX));
        self.outcomes.push(answer.outcome.as_str());
        self.statuses.push(answer.status.and_then(|status| i16::try_from(status).ok()));
        self.messages.push(answer.message());
        self.bodies.push(answer.status.map(|_| answer.body.as_ref()));
        self.remotes.push(answer.remote.map(|address| address.to_string()));
        self.durations.push(i32::try_from(answer.duration.as_millis()).unwrap_or(i32::MAX));
        self.times.push(attempt.started_at);
        self.triggers.push(attempt.trigger.stored());
        self.details.push(answer.detail.as_deref().map(detail_text));
    }

    fn params(&self) -> [Param<'_>; 13] {
        [
            (&self.deliveries, Type::INT4_ARRAY),
            (&self.ids, Type::UUID_ARRAY),
            (&self.types, Type::TEXT_ARRAY),
            (&self.numbers, Type::INT4_ARRAY),
            (&self.outcomes, Type::TEXT_ARRAY),
            (&self.statuses, Type::INT2_ARRAY),
            (&self.messages, Type::TEXT_ARRAY),
            (&self.bodies, Type::BYTEA_ARRAY),
            (&self.remotes, Type::TEXT_ARRAY),
            (&self.durations, Type::INT4_ARRAY),
            (&self.times, Type::TIMESTAMPTZ_ARRAY),
            (&self.triggers, Type::TEXT_ARRAY),
            (&self.details, Type::TEXT_ARRAY),
        ]
    }
}

/// As the column takes it: its texts have no NUL, which `jsonb` refuses.
pub(super) fn detail_text(detail: &Detail) -> String {
    serde_json::to_string(detail).expect("texts, numbers and maps of them are JSON")
}
