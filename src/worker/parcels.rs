//! Turns a taken delivery into a parcel, or into the report that ends or delays it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::WorkerParts;
use crate::domain::content_type::ContentType;
use crate::domain::delivery::{Lease, Parcel, Report};
use crate::domain::end::Taken;
use crate::domain::event_type::EventType;
use crate::domain::id::LeaseToken;
use crate::domain::keyring::SealContext;
use crate::domain::next_step::NextStep;
use crate::domain::policy;
use crate::domain::subscription::Destination;
use crate::domain::target::Target;
use crate::domain::trigger::Trigger;
use crate::store::TakenDelivery;
use crate::subscriptions::open_sealed;

/// Delay if secrets or headers cannot be opened: an operator has to add the key.
const UNREADABLE_DELAY: Duration = Duration::from_secs(60);

/// `until`: end of the ownership, if the subscription is paced. `is_probe`: its breaker is open.
pub(super) fn open(
    parts: &WorkerParts,
    taken: TakenDelivery,
    token: LeaseToken,
    taken_at: Instant,
    (until, is_probe): (Option<Instant>, bool),
) -> Result<Parcel, Box<Report>> {
    let TakenDelivery { key, attempts, free_attempts, subscription_version, .. } = taken;
    let event_type = taken.event_type.as_deref().and_then(|name| name.parse::<EventType>().ok());
    let instead = |step| {
        let unsent = Report::unsent(key, token, subscription_version, step);
        Box::new(Report { ordering_key: taken.ordering_key.clone(), ..unsent })
    };
    let schedule = taken.retry_schedule.as_ref().unwrap_or(&parts.rules.retries.schedule);
    let facts = Taken {
        event: key.event,
        is_deleted: taken.is_deleted,
        is_cut_off: taken.is_cut_off,
        end: taken.end,
        counted: attempts.saturating_sub(1).saturating_sub(free_attempts),
        max_attempts: schedule.max_attempts(),
    };
    if let Some(reason) = facts.ends(parts.clock.now(), parts.rules.lifetime) {
        return Err(instead(NextStep::GiveUp(reason)));
    }
    let context = SealContext { tenant: key.tenant, subscription: key.subscription };
    match open_sealed(&parts.keyring, &taken.secrets, taken.headers.as_deref(), context) {
        Ok((secrets, headers)) => {
            // Counted from before the statement, so that the lease never ends later here than in the database.
            let leased = taken_at + policy::lease(parts.rules.lease, taken.request_timeout);
            Ok(Parcel {
                key,
                lease: Lease { token, ends: until.map_or(leased, |until| until.min(leased)) },
                attempt_number: attempts,
                free_attempts,
                trigger: Trigger::of_delivery(taken.trigger.as_deref(), attempts, is_probe),
                event_type,
                payload: Bytes::from(taken.payload),
                content_type: ContentType::stored(taken.content_type),
                hops: taken.hops,
                subscription_version,
                destination: Arc::new(Destination {
                    target: Target::stored(taken.target_url),
                    secrets,
                    headers,
                    retry_schedule: taken.retry_schedule,
                    request_timeout: taken.request_timeout,
                }),
                ordering_key: taken.ordering_key,
                skip_after: taken.skip_after,
            })
        }
        Err(error) => {
            tracing::error!(%error, subscription = %key.subscription, "cannot open a secret or the headers of a subscription; its deliveries are retried in 60 s: check POSTRIDER_MASTER_KEYS");
            Err(instead(NextStep::RetryIn(UNREADABLE_DELAY)))
        }
    }
}
