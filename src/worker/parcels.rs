//! From a delivery that was taken to a parcel that can be sent, or to the report that ends it or puts it off.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::WorkerParts;
use crate::domain::delivery::{Lease, Parcel, Report};
use crate::domain::end::Taken;
use crate::domain::event_type::EventType;
use crate::domain::id::LeaseToken;
use crate::domain::keyring::SealContext;
use crate::domain::next_step::NextStep;
use crate::domain::policy;
use crate::domain::subscription::Destination;
use crate::domain::target::Target;
use crate::store::TakenDelivery;
use crate::subscriptions::open_sealed;

/// How long a delivery waits whose secret or headers do not open: an operator has to act.
const UNREADABLE_DELAY: Duration = Duration::from_secs(60);

/// The parcel of a delivery that was taken at `taken_at`, whose ownership ends at `until` where it is paced; or what
/// becomes of it instead.
pub(super) fn open(
    parts: &WorkerParts,
    taken: TakenDelivery,
    token: LeaseToken,
    taken_at: Instant,
    until: Option<Instant>,
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
    let place = SealContext { tenant: key.tenant, subscription: key.subscription };
    match open_sealed(&parts.keyring, &taken.secrets, taken.headers.as_deref(), place) {
        Ok((secrets, headers)) => {
            // The lease is counted from before its statement was sent, so it never ends here later than in the
            // database.
            let leased = taken_at + policy::lease(parts.rules.lease, taken.request_timeout);
            Ok(Parcel {
                key,
                lease: Lease { token, ends: until.map_or(leased, |until| until.min(leased)) },
                attempt_number: attempts,
                free_attempts,
                event_type,
                payload: Bytes::from(taken.payload),
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
            tracing::error!(%error, subscription = %key.subscription, "a secret or the headers cannot be opened; its deliveries wait");
            Err(instead(NextStep::RetryIn(UNREADABLE_DELAY)))
        }
    }
}
