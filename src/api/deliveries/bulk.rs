//! Retries or cancels all deliveries that a filter selects.

use std::time::Duration;

use poem::{IntoResponse, Response};
use poem_openapi::registry::{MetaResponses, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiResponse, Object};
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;
use uuid::Uuid;

use crate::api::Api;
use crate::api::access::{Allowed, Manage};
use crate::api::events::DeliveryState;
use crate::api::form::form;
use crate::api::payload::{Answer, refused};
use crate::api::problem::Problem;
use crate::api::replays::{MOST_RUNNING, REPEATABLE, ReplayPlan, count_plan, planned};
use crate::api::selection::DeliverySelection;
use crate::domain::id::ReplayId;
use crate::store::{Chosen, Plan};

/// Deliveries a second that a retry of many requeues.
const RETRY_RATE: u32 = 1_000;
/// No further delivery is cancelled after this.
const CANCEL_BUDGET: Duration = Duration::from_millis(1_000);
/// Deliveries that have not ended.
const OPEN: [DeliveryState; 3] = [DeliveryState::Pending, DeliveryState::Held, DeliveryState::Sending];

form! {
    /// Which deliveries.
    pub(super) struct BulkForm {
        /// By the filters of `GET /deliveries`.
        only: DeliverySelection,
        /// Count, and change nothing.
        dry_run: Option<bool>,
        /// The `token` of a dry run with the same `only` in the last 24 hours. Events accepted after it are left out.
        token: Option<Uuid>,
    }
}

/// A retry that has begun.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct BulkRetry {
    /// How many deliveries were selected; null if they were too many to be counted at once.
    retried: Option<i64>,
    /// The replay that requeues them, up to 1,000 a second.
    replay_id: Uuid,
    /// False: the replay goes on by itself.
    more: bool,
}

/// Cancelled deliveries.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct BulkCancel {
    /// Deliveries that ended.
    cancelled: i64,
    /// In flight; they are cancelled unless this attempt succeeds.
    sending: i64,
    /// Whether deliveries may be left: repeat the request.
    more: bool,
}

/// 202 with what is done, or 200 with the plan of a dry run.
pub(super) enum Bulk<T> {
    Done(T),
    Plan(ReplayPlan),
    /// A parameter or the body was refused before the operation began.
    Refused(Problem),
}

impl<T: Serialize + Send> IntoResponse for Bulk<T> {
    fn into_response(self) -> Response {
        match self {
            Self::Done(done) => Answer::<_, 202>::Value(done).into_response(),
            Self::Plan(plan) => Answer::<_>::Value(plan).into_response(),
            Self::Refused(problem) => problem.into_response(),
        }
    }
}

impl<T: Type> ApiResponse for Bulk<T> {
    const BAD_REQUEST_HANDLER: bool = true;

    fn meta() -> MetaResponses {
        let mut meta = Answer::<ReplayPlan>::meta();
        meta.responses.extend(Answer::<T, 202>::meta().responses);
        meta
    }

    fn register(registry: &mut Registry) {
        Answer::<ReplayPlan>::register(registry);
        Answer::<T, 202>::register(registry);
    }

    fn from_parse_request_error(error: poem::Error) -> Self {
        Self::Refused(refused(&error))
    }
}

/// What is asked for: counted, or to be done.
enum Asked {
    Counted(ReplayPlan),
    Todo(Plan, Option<i64>),
}

pub(super) async fn retry(api: &Api, caller: &Allowed<Manage>, form: BulkForm) -> Result<Bulk<BulkRetry>, Problem> {
    let (plan, total) = match asked(api, caller, &form, None).await? {
        Asked::Counted(plan) => return Ok(Bulk::Plan(plan)),
        Asked::Todo(plan, total) => (plan, total),
    };
    let id = ReplayId::at(api.clock.now(), Uuid::new_v4().into_bytes());
    let begun = api.store.begin_plan(&plan, (id, RETRY_RATE, total), MOST_RUNNING, caller.actor()).await?;
    let replay_id = begun.ok_or(Problem::TooManyReplays)?.id.uuid();
    Ok(Bulk::Done(BulkRetry { retried: total, replay_id, more: false }))
}

pub(super) async fn cancel(api: &Api, caller: &Allowed<Manage>, form: BulkForm) -> Result<Bulk<BulkCancel>, Problem> {
    let plan = match asked(api, caller, &form, Some(&OPEN)).await? {
        Asked::Counted(plan) => return Ok(Bulk::Plan(plan)),
        Asked::Todo(plan, _) => plan,
    };
    let (began, mut done) = (Instant::now(), BulkCancel { cancelled: 0, sending: 0, more: false });
    let (pairs, is_whole) = api.store.pick_newest(&plan).await?;
    done.more = !is_whole;
    for (event, subscription) in pairs {
        if began.elapsed() > CANCEL_BUDGET {
            done.more = true;
            break;
        }
        let chosen = Chosen { tenant: plan.tenant, event: event.into(), subscription: Some(subscription.into()) };
        // One that ended meanwhile is gone.
        let Some(part) = api.store.cancel(&chosen, 1, caller.actor()).await? else { continue };
        api.advance(&part.groups).await;
        done.cancelled += part.cancelled;
        done.sending += part.sending;
    }
    Ok(Bulk::Done(done))
}

/// `open`: deliveries that have not ended, instead of those that have.
async fn asked(
    api: &Api,
    caller: &Allowed<Manage>,
    form: &BulkForm,
    open: Option<&[DeliveryState]>,
) -> Result<Asked, Problem> {
    let (allowed, usual) = match open {
        Some(open) => (open, &[DeliveryState::Pending, DeliveryState::Held][..]),
        None => (&REPEATABLE[..], &REPEATABLE[..3]),
    };
    let document = Value::Object(form.only.document(api, caller.tenant, (allowed, usual)).await?);
    let plan = Plan {
        tenant: caller.tenant,
        only: document.to_string(),
        is_to_matching: false,
        below: form.only.below(api.clock.now()),
    };
    if form.dry_run == Some(true) {
        return count_plan(api, &plan).await.map(Asked::Counted);
    }
    let (plan, total) = planned(api, plan, &document, form.token).await?;
    Ok(Asked::Todo(plan, total))
}
