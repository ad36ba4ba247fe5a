//! When a delivery becomes due and when it expires.

use std::time::Duration;

use time::OffsetDateTime;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidTiming {
    #[error("must be at most {} s ahead, the lifetime of a delivery", .0.as_secs())]
    TooFarAhead(Duration),
    #[error("must be in the future")]
    Over,
    #[error("must be after deliver_at")]
    BeforeDelivery,
    /// An event with an ordering key is delivered in its order.
    #[error("must not be given together with an ordering key")]
    Ordered,
}

/// Due time and expiry. Default: now, and the end of the lifetime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timing {
    deliver_at: Option<OffsetDateTime>,
    expires_at: Option<OffsetDateTime>,
}

impl Timing {
    /// A `deliver_at` in the past means now; `lifetime` counts from the due time.
    pub(crate) fn new(
        deliver_at: Option<OffsetDateTime>,
        expires_at: Option<OffsetDateTime>,
        now: OffsetDateTime,
        lifetime: Duration,
    ) -> Result<Self, InvalidTiming> {
        let latest = |from: OffsetDateTime| from.checked_add(lifetime.try_into().ok()?);
        if deliver_at > latest(now) {
            return Err(InvalidTiming::TooFarAhead(lifetime));
        }
        if expires_at.is_some_and(|at| at <= now) {
            return Err(InvalidTiming::Over);
        }
        let deliver_at = deliver_at.filter(|at| *at > now);
        if deliver_at.is_some_and(|due| expires_at.is_some_and(|end| end <= due)) {
            return Err(InvalidTiming::BeforeDelivery);
        }
        let end = latest(deliver_at.unwrap_or(now));
        // Without `deliver_at` the age of the event already limits the delivery.
        let expires_at = match deliver_at {
            Some(_) => expires_at.into_iter().chain(end).min(),
            None => expires_at.filter(|at| Some(*at) < end),
        };
        Ok(Self { deliver_at, expires_at })
    }

    /// `None` = now.
    pub fn deliver_at(&self) -> Option<OffsetDateTime> {
        self.deliver_at
    }

    /// `None` = the age of the event decides.
    pub fn expires_at(&self) -> Option<OffsetDateTime> {
        self.expires_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);
    const DAY: Duration = Duration::from_secs(86_400);

    fn timing(deliver_in: Option<i64>, expires_in: Option<i64>) -> Result<Timing, InvalidTiming> {
        let from_now = |hours: Option<i64>| hours.map(|hours| NOW + time::Duration::hours(hours));
        Timing::new(from_now(deliver_in), from_now(expires_in), NOW, DAY)
    }

    #[test]
    fn a_time_past_to_deliver_is_now_and_a_time_past_to_expire_is_refused() {
        assert_eq!(timing(Some(-1), None), Ok(Timing::default()));
        assert_eq!(timing(Some(0), None), Ok(Timing::default()));
        assert_eq!(timing(None, Some(0)), Err(InvalidTiming::Over));
        assert_eq!(timing(Some(-1), Some(-1)), Err(InvalidTiming::Over));
    }

    #[test]
    fn nothing_is_due_later_than_a_lifetime_ahead_or_ends_before_it_is_due() {
        assert!(timing(Some(24), None).is_ok());
        assert_eq!(timing(Some(25), None), Err(InvalidTiming::TooFarAhead(DAY)));
        assert_eq!(timing(Some(2), Some(2)), Err(InvalidTiming::BeforeDelivery));
        assert!(timing(Some(2), Some(3)).is_ok());
    }

    #[test]
    fn nothing_lives_longer_than_the_lifetime_from_when_it_is_due() {
        let ends = |deliver_in, expires_in| {
            let at = timing(deliver_in, expires_in).unwrap().expires_at();
            at.map(|at| (at - NOW).whole_hours())
        };
        assert_eq!(ends(None, Some(3)), Some(3));
        assert_eq!(ends(None, Some(24)), None);
        assert_eq!(ends(Some(5), None), Some(29));
        assert_eq!(ends(Some(5), Some(100)), Some(29));
        assert_eq!(ends(Some(5), Some(6)), Some(6));
    }
}
