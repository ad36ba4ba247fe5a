//! Why a delivery ends without success, and which ones end before they are sent.

use std::time::Duration;

use time::OffsetDateTime;

use super::id::EventId;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    Exhausted,
    Gone,
    /// The receiver asked for no retry of this delivery.
    AbortedByReceiver,
    /// The target is an address that is not allowed; a retry would not change that.
    BlockedAddress,
    /// An ordering group skipped its head after too many failures.
    SkipAfterAttempts,
    Requested,
    SubscriptionDeleted,
    ExpiresAt,
    Lifetime,
}

impl EndReason {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 9] = [
        Self::Exhausted,
        Self::Gone,
        Self::AbortedByReceiver,
        Self::BlockedAddress,
        Self::SkipAfterAttempts,
        Self::Requested,
        Self::SubscriptionDeleted,
        Self::ExpiresAt,
        Self::Lifetime,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::Gone => "gone",
            Self::AbortedByReceiver => "aborted_by_receiver",
            Self::BlockedAddress => "blocked_address",
            Self::SkipAfterAttempts => "skip_after_attempts",
            Self::Requested => "requested",
            Self::SubscriptionDeleted => "subscription_deleted",
            Self::ExpiresAt => "expires_at",
            Self::Lifetime => "lifetime",
        }
    }

    pub fn status(self) -> &'static str {
        match self {
            Self::Exhausted | Self::Gone | Self::AbortedByReceiver | Self::BlockedAddress => "failed",
            Self::SkipAfterAttempts => "skipped",
            Self::Requested | Self::SubscriptionDeleted => "cancelled",
            Self::ExpiresAt | Self::Lifetime => "expired",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    WithLifetime,
    At(OffsetDateTime),
    Cancelled,
}

#[derive(Debug, Clone, Copy)]
pub struct Taken {
    pub event: EventId,
    pub is_deleted: bool,
    pub is_cut_off: bool,
    pub end: End,
    pub counted: u32,
    pub max_attempts: u32,
}

impl Taken {
    /// Why it ends now; `None` if it may be sent.
    pub fn ends(&self, now: OffsetDateTime, lifetime: Duration) -> Option<EndReason> {
        match self.end {
            End::Cancelled => return Some(EndReason::Requested),
            _ if self.is_deleted => return Some(EndReason::SubscriptionDeleted),
            End::At(end) if end <= now => return Some(EndReason::ExpiresAt),
            End::WithLifetime if self.event < EventId::lower_bound(now - lifetime) => return Some(EndReason::Lifetime),
            End::At(_) | End::WithLifetime => {}
        }
        (self.is_cut_off && self.counted >= self.max_attempts).then_some(EndReason::Exhausted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-11-28 12:00 UTC);
    const LIFETIME: Duration = Duration::from_secs(3_600);

    fn taken() -> Taken {
        let event = EventId::at(NOW - Duration::from_secs(60), uuid::Uuid::new_v4().into_bytes());
        Taken { event, is_deleted: false, is_cut_off: false, end: End::WithLifetime, counted: 2, max_attempts: 3 }
    }

    fn ends(change: impl Fn(&mut Taken)) -> Option<&'static str> {
        let mut taken = taken();
        change(&mut taken);
        taken.ends(NOW, LIFETIME).map(EndReason::as_str)
    }

    #[test]
    fn a_living_delivery_is_sent() {
        assert_eq!(ends(|_| {}), None);
        assert_eq!(ends(|taken| taken.end = End::At(NOW + Duration::from_millis(1))), None);
        assert_eq!(ends(|taken| taken.is_cut_off = true), None);
        assert_eq!(ends(|taken| taken.counted = 3), None);
    }

    #[test]
    fn what_is_over_ends_for_the_first_reason_that_fits() {
        assert_eq!(ends(|taken| taken.end = End::Cancelled), Some("requested"));
        assert_eq!(ends(|taken| taken.is_deleted = true), Some("subscription_deleted"));
        assert_eq!(ends(|taken| taken.end = End::At(NOW)), Some("expires_at"));
        assert_eq!(
            ends(|taken| taken.event = EventId::at(NOW - 2 * LIFETIME, uuid::Uuid::new_v4().into_bytes())),
            Some("lifetime")
        );
        assert_eq!(ends(|taken| (taken.is_cut_off, taken.counted) = (true, 3)), Some("exhausted"));
        let both = |taken: &mut Taken| (taken.end, taken.is_deleted) = (End::Cancelled, true);
        assert_eq!(ends(both), Some("requested"));
    }

    #[test]
    fn a_time_of_its_own_counts_instead_of_the_age_of_the_event() {
        let old = |taken: &mut Taken| {
            taken.event = EventId::at(NOW - 2 * LIFETIME, uuid::Uuid::new_v4().into_bytes());
            taken.end = End::At(NOW + LIFETIME);
        };
        assert_eq!(ends(old), None);
    }
}
