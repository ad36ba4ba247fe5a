//! Rotation: a subscription has one current secret and, for a while, older ones.
//! Signing and verifying use the secrets live at that moment, so that copies need no invalidation.

use std::time::Duration;

use time::OffsetDateTime;

use super::secret::Secret;

pub(crate) const MAX_OLDER: usize = 4;
pub(crate) const MAX_OVERLAP_SECONDS: u32 = 604_800;

const DEFAULT_OVERLAP_SECONDS: u32 = 86_400;

/// How long a replaced secret stays valid; by default 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlap(u32);

impl Overlap {
    pub(crate) fn of_seconds(seconds: u32) -> Option<Self> {
        (seconds <= MAX_OVERLAP_SECONDS).then_some(Self(seconds))
    }

    pub(crate) fn duration(self) -> Duration {
        Duration::from_secs(self.0.into())
    }
}

impl Default for Overlap {
    fn default() -> Self {
        Self(DEFAULT_OVERLAP_SECONDS)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OlderSecret {
    pub(crate) secret: Secret,
    /// Its end, by the database's clock.
    pub(crate) until: OffsetDateTime,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secrets {
    current: Secret,
    older: Vec<OlderSecret>,
}

impl Secrets {
    /// Older ones are newest first. The current secret is removed from them, because it would sign twice.
    pub(crate) fn new(current: Secret, mut older: Vec<OlderSecret>) -> Self {
        older.retain(|older| !older.secret.is_same(&current));
        Self { current, older }
    }

    pub(crate) fn current(&self) -> &Secret {
        &self.current
    }

    pub(crate) fn live(&self, at: OffsetDateTime) -> impl Iterator<Item = &Secret> {
        let older = self.older.iter().filter(move |older| older.until > at).map(|older| &older.secret);
        std::iter::once(&self.current).chain(older)
    }
}

impl From<Secret> for Secrets {
    fn from(current: Secret) -> Self {
        Self { current, older: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOON: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);

    fn secret(n: u8) -> Secret {
        Secret::from_random([n; 32])
    }

    fn older(n: u8, until: OffsetDateTime) -> OlderSecret {
        OlderSecret { secret: secret(n), until }
    }

    #[test]
    fn an_older_secret_is_live_before_its_end_and_not_at_it() {
        let secrets = Secrets::new(secret(1), vec![older(2, NOON)]);
        let tick = Duration::from_nanos(1);
        assert!(secrets.live(NOON - tick).eq([&secret(1), &secret(2)]));
        assert!(secrets.live(NOON).eq([&secret(1)]));
    }

    #[test]
    fn each_ends_at_its_own_time_and_the_current_one_never() {
        let hours = |n: i64| NOON + time::Duration::hours(n);
        let secrets = Secrets::new(secret(1), vec![older(2, hours(1)), older(3, hours(3)), older(4, hours(2))]);
        assert!(secrets.live(NOON).eq([&secret(1), &secret(2), &secret(3), &secret(4)]));
        assert!(secrets.live(hours(1)).eq([&secret(1), &secret(3), &secret(4)]));
        assert!(secrets.live(hours(2)).eq([&secret(1), &secret(3)]));
        assert!(secrets.live(hours(100_000)).eq([&secret(1)]));
    }

    #[test]
    fn a_secret_that_became_current_again_signs_once() {
        let secrets = Secrets::new(secret(1), vec![older(2, NOON), older(1, NOON)]);
        assert!(secrets.live(NOON - Duration::from_secs(1)).eq([&secret(1), &secret(2)]));
    }

    #[test]
    fn an_overlap_is_a_day_by_default_and_a_week_at_most() {
        assert_eq!(Overlap::default().duration(), Duration::from_secs(24 * 3_600));
        assert_eq!(Overlap::of_seconds(0).map(Overlap::duration), Some(Duration::ZERO));
        assert!(Overlap::of_seconds(MAX_OVERLAP_SECONDS).is_some());
        assert_eq!(Overlap::of_seconds(MAX_OVERLAP_SECONDS + 1), None);
    }
}
