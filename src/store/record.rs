//! Recording: a batch of outcomes in one commit, fenced by the lease token.

use time::OffsetDateTime;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::Param;
use super::{Store, StoreError, sql};
use crate::domain::attempt::Attempt;
use crate::domain::delivery::Report;
use crate::domain::id::SubscriptionId;
use crate::domain::next_step::NextStep;

/// What a recording changed.
#[derive(Debug, Default)]
pub struct Recorded {
    /// Deliveries whose report was recorded.
    pub recorded: usize,
    /// Deliveries whose lease had gone to another: their report changed nothing.
    pub fenced: usize,
    /// Subscriptions that their receiver disabled.
    pub disabled: Vec<SubscriptionId>,
    /// Subscriptions with a success that were failing until now.
    pub ailing: Vec<SubscriptionId>,
}

/// The deliveries of a batch, a column each.
#[derive(Default)]
struct Deliveries<'a> {
    tenants: Vec<Uuid>,
    events: Vec<Uuid>,
    subscriptions: Vec<Uuid>,
    tokens: Vec<Uuid>,
    steps: Vec<&'a str>,
    delays: Vec<f64>,
    attempts: Vec<i16>,
    free_attempts: Vec<i16>,
    reasons: Vec<Option<&'a str>>,
    versions: Vec<i64>,
    unwanted: Vec<Option<&'a str>>,
}

/// The attempts of a batch, a column each.
#[derive(Default)]
struct Attempts<'a> {
    tenants: Vec<Uuid>,
    events: Vec<Uuid>,
    subscriptions: Vec<Uuid>,
    tokens: Vec<Uuid>,
    ids: Vec<Uuid>,
    types: Vec<Option<&'a str>>,
    numbers: Vec<i16>,
    outcomes: Vec<&'a str>,
    statuses: Vec<Option<i16>>,
    messages: Vec<Option<String>>,
    bodies: Vec<Option<&'a [u8]>>,
    remotes: Vec<Option<String>>,
    durations: Vec<i32>,
    times: Vec<OffsetDateTime>,
}

impl Store {
    /// Records what became of leased deliveries.
    ///
    /// # Errors
    /// [`StoreError`]; recording the same reports again is safe, whatever happened.
    pub async fn record(&self, reports: &[Report]) -> Result<Recorded, StoreError> {
        let mut deliveries = Deliveries::default();
        let mut attempts = Attempts::default();
        for report in reports {
            deliveries.push(report);
            for attempt in &report.attempts {
                attempts.push(report, attempt);
            }
        }
        let mut connection = self.queue().await?;
        let last: [Param<'_>; 2] = [(&deliveries.versions, Type::INT8_ARRAY), (&deliveries.unwanted, Type::TEXT_ARRAY)];
        let params: Vec<Param<'_>> = deliveries.params().into_iter().chain(attempts.params()).chain(last).collect();
        let rows = connection.query(&sql::RECORD, &params).await?;
        let row = rows.first().ok_or_else(|| StoreError::Unreadable("a recording has no row".to_owned()))?;
        let recorded = usize::try_from(row.try_get::<_, i64>("recorded")?).unwrap_or(0);
        let disabled: Vec<Uuid> = row.try_get("disabled")?;
        let ailing: Vec<Uuid> = row.try_get("ailing")?;
        Ok(Recorded {
            recorded,
            fenced: reports.len().saturating_sub(recorded),
            disabled: disabled.into_iter().map(SubscriptionId::from).collect(),
            ailing: ailing.into_iter().map(SubscriptionId::from).collect(),
        })
    }
}

impl<'a> Deliveries<'a> {
    fn push(&mut self, report: &'a Report) {
        // One attempt was counted when the delivery was claimed.
        let made = i16::try_from(report.attempts.len()).unwrap_or(i16::MAX);
        let (step, delay, reason) = match report.step {
            NextStep::Done => ("done", 0.0, None),
            NextStep::RetryIn(delay) => ("retry", delay.as_secs_f64(), None),
            NextStep::GiveUp(reason) => ("give_up", 0.0, Some(reason.as_str())),
            NextStep::HandBack => ("hand_back", 0.0, None),
            NextStep::Park => ("park", 0.0, None),
            NextStep::Pace => ("pace", 0.0, None),
        };
        self.tenants.push(report.key.tenant.uuid());
        self.events.push(report.key.event.uuid());
        self.subscriptions.push(report.key.subscription.uuid());
        self.tokens.push(report.token.uuid());
        self.steps.push(step);
        self.delays.push(delay);
        self.attempts.push(made - 1);
        self.free_attempts.push(i16::try_from(report.free_attempts).unwrap_or(i16::MAX));
        self.reasons.push(reason);
        self.versions.push(report.subscription_version);
        self.unwanted.push(report.unwanted());
    }

    fn params(&self) -> [Param<'_>; 9] {
        [
            (&self.tenants, Type::UUID_ARRAY),
            (&self.events, Type::UUID_ARRAY),
            (&self.subscriptions, Type::UUID_ARRAY),
            (&self.tokens, Type::UUID_ARRAY),
            (&self.steps, Type::TEXT_ARRAY),
            (&self.delays, Type::FLOAT8_ARRAY),
            (&self.attempts, Type::INT2_ARRAY),
            (&self.free_attempts, Type::INT2_ARRAY),
            (&self.reasons, Type::TEXT_ARRAY),
        ]
    }
}

impl<'a> Attempts<'a> {
    fn push(&mut self, report: &'a Report, attempt: &'a Attempt) {
        let answer = &attempt.answer;
        self.tenants.push(report.key.tenant.uuid());
        self.events.push(report.key.event.uuid());
        self.subscriptions.push(report.key.subscription.uuid());
        self.tokens.push(report.token.uuid());
        self.ids.push(attempt.id.uuid());
        self.types.push(report.event_type.as_ref().map(|name| name.as_str()));
        self.numbers.push(i16::try_from(attempt.number).unwrap_or(i16::MAX));
        self.outcomes.push(answer.outcome.as_str());
        self.statuses.push(answer.status.and_then(|status| i16::try_from(status).ok()));
        self.messages.push(answer.outcome.message(answer.status));
        self.bodies.push(answer.status.map(|_| answer.body.as_ref()));
        self.remotes.push(answer.remote.map(|address| address.to_string()));
        self.durations.push(i32::try_from(answer.duration.as_millis()).unwrap_or(i32::MAX));
        self.times.push(attempt.started_at);
    }

    fn params(&self) -> [Param<'_>; 14] {
        [
            (&self.tenants, Type::UUID_ARRAY),
            (&self.events, Type::UUID_ARRAY),
            (&self.subscriptions, Type::UUID_ARRAY),
            (&self.ids, Type::UUID_ARRAY),
            (&self.types, Type::TEXT_ARRAY),
            (&self.numbers, Type::INT2_ARRAY),
            (&self.outcomes, Type::TEXT_ARRAY),
            (&self.statuses, Type::INT2_ARRAY),
            (&self.messages, Type::TEXT_ARRAY),
            (&self.bodies, Type::BYTEA_ARRAY),
            (&self.remotes, Type::TEXT_ARRAY),
            (&self.durations, Type::INT4_ARRAY),
            (&self.times, Type::TIMESTAMPTZ_ARRAY),
            (&self.tokens, Type::UUID_ARRAY),
        ]
    }
}
