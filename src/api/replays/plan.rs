//! A replay by filter: counted by a dry run, and begun.

use std::cmp::Reverse;
use std::time::Duration;

use poem::{IntoResponse, Response};
use poem_openapi::registry::{MetaResponses, Registry};
use poem_openapi::{ApiResponse, Object};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::form::{ReplayForm, ReplayTarget};
use super::{MOST_RUNNING, ReplayAnswer};
use crate::api::Api;
use crate::api::access::{Allowed, Manage};
use crate::api::events::DeliveryState;
use crate::api::payload::Answer;
use crate::api::problem::Problem;
use crate::domain::id::ReplayId;
use crate::store::{Counted, Plan};

/// How long a dry run counts; after it, the selection must be narrowed.
const COUNT_BUDGET: Duration = Duration::from_secs(8);
/// How long a replay without a dry run counts before it begins; after it, it has no total.
const BEGIN_BUDGET: Duration = Duration::from_millis(600);
/// Deliveries that have ended; without a filter of statuses the first three.
pub(in crate::api) const REPEATABLE: [DeliveryState; 5] = [
    DeliveryState::Failed,
    DeliveryState::Expired,
    DeliveryState::Skipped,
    DeliveryState::Cancelled,
    DeliveryState::Succeeded,
];

/// What a replay would repeat now.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(in crate::api) struct ReplayPlan {
    /// How many deliveries.
    count: i64,
    /// The same by subscription, most first.
    by_subscription: Vec<PlannedSubscription>,
    /// The newest 10 of them.
    sample: Vec<PlannedDelivery>,
    /// Begins this replay if it stands in the same request without `dry_run`, for 24 hours.
    token: Uuid,
}

/// Deliveries to one subscription.
#[derive(Debug, Default, Object, Serialize)]
#[oai(read_only_all)]
pub(in crate::api) struct PlannedSubscription {
    /// The subscription.
    subscription_id: Uuid,
    /// How many.
    count: i64,
}

/// A delivery that would be repeated or made.
#[derive(Debug, Default, Object, Serialize)]
#[oai(read_only_all)]
pub(in crate::api) struct PlannedDelivery {
    /// The event.
    webhook_id: Uuid,
    /// The subscription.
    subscription_id: Uuid,
}

/// 202 with the replay, or 200 with the plan of a dry run.
pub(super) enum Begun {
    Replay(ReplayAnswer),
    Plan(ReplayPlan),
    /// A parameter or the body was refused before the operation began.
    Refused(Problem),
}

impl IntoResponse for Begun {
    fn into_response(self) -> Response {
        match self {
            Self::Replay(replay) => Answer::<_, 202>::Value(replay).into_response(),
            Self::Plan(plan) => Answer::<_>::Value(plan).into_response(),
            Self::Refused(problem) => problem.into_response(),
        }
    }
}

impl ApiResponse for Begun {
    const BAD_REQUEST_HANDLER: bool = true;

    fn meta() -> MetaResponses {
        let mut meta = Answer::<ReplayPlan>::meta();
        meta.responses.extend(Answer::<ReplayAnswer, 202>::meta().responses);
        meta
    }

    fn register(registry: &mut Registry) {
        Answer::<ReplayPlan>::register(registry);
        Answer::<ReplayAnswer, 202>::register(registry);
    }

    fn from_parse_request_error(error: poem::Error) -> Self {
        Self::Refused(crate::api::payload::refused(&error))
    }
}

/// Of a form with `only`.
pub(super) async fn begin(api: &Api, caller: &Allowed<Manage>, form: ReplayForm) -> Result<Begun, Problem> {
    let (now, tenant) = (api.clock.now(), caller.tenant);
    let required = || Problem::field("/only", "required", "must be given");
    let only = form.only.as_ref().ok_or_else(required)?;
    let is_to_matching = form.to == Some(ReplayTarget::Matching);
    // Whoever wants an event now may get it, even if nobody did then.
    let usual = if is_to_matching && only.reason.is_none() { &[][..] } else { &REPEATABLE[..3] };
    let document = Value::Object(only.document(api, tenant, (&REPEATABLE, usual)).await?);
    let plan = Plan { tenant, only: document.to_string(), is_to_matching, below: only.below(now) };
    if form.dry_run == Some(true) {
        return count_plan(api, &plan).await.map(Begun::Plan);
    }
    let (plan, total) = planned(api, plan, &document, form.token).await?;
    let id = ReplayId::at(now, uuid::Uuid::new_v4().into_bytes());
    let begun = api.store.begin_plan(&plan, (id, form.rate(), total), MOST_RUNNING, caller.actor()).await?;
    begun.map(|replay| Begun::Replay(ReplayAnswer::of(replay))).ok_or(Problem::TooManyReplays)
}

/// Counts, and keeps the plan under its token.
pub(in crate::api) async fn count_plan(api: &Api, plan: &Plan) -> Result<ReplayPlan, Problem> {
    let Counted { by_subscription, sample, is_whole } = api.store.count_plan(plan, COUNT_BUDGET).await?;
    if !is_whole {
        let rule = "selects too many deliveries to count them in 8 s: narrow it, for example by since";
        return Err(Problem::field("/only", "too_many", rule));
    }
    let count = by_subscription.values().sum();
    let token = ReplayId::at(api.clock.now(), Uuid::new_v4().into_bytes()).uuid();
    api.store.save_plan(plan, token, count).await?;
    let planned = |(subscription_id, count)| PlannedSubscription { subscription_id, count };
    let mut by_subscription: Vec<_> = by_subscription.into_iter().map(planned).collect();
    by_subscription.sort_by_key(|planned| Reverse(planned.count));
    let shown = |(webhook_id, subscription_id)| PlannedDelivery { webhook_id, subscription_id };
    let sample = sample.into_iter().map(shown).collect();
    Ok(ReplayPlan { count, by_subscription, sample, token })
}

/// The plan of the token's dry run, or the one that is asked for, and how many deliveries it selects if that is known.
pub(in crate::api) async fn planned(
    api: &Api,
    asked: Plan,
    only: &Value,
    token: Option<Uuid>,
) -> Result<(Plan, Option<i64>), Problem> {
    let Some(token) = token else {
        let counted = api.store.count_plan(&asked, BEGIN_BUDGET).await?;
        let total = counted.is_whole.then(|| counted.by_subscription.values().sum());
        return Ok((asked, total));
    };
    counted_by(api, &asked, only, token).await
}

/// The plan of a dry run of the same request.
async fn counted_by(api: &Api, asked: &Plan, only: &Value, token: Uuid) -> Result<(Plan, Option<i64>), Problem> {
    let unknown = || {
        let rule = "must be the token of a dry run with the same only and to, made in the last 24 hours";
        Problem::field("/token", "unknown_token", rule)
    };
    let (plan, total) = api.store.read_plan(asked.tenant, token).await?.ok_or_else(unknown)?;
    let is_same = serde_json::from_str::<Value>(&plan.only).is_ok_and(|planned| planned == *only);
    if !is_same || plan.is_to_matching != asked.is_to_matching {
        return Err(unknown());
    }
    Ok((plan, Some(total)))
}
