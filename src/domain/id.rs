//! Identifiers with a type each: hyphenated UUIDs everywhere.
//!
//! Events and attempts use UUIDv7 (milliseconds since 1970), so that the id also gives order and partition.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

const NANOS_PER_MILLI: u128 = 1_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a UUID in its hyphenated form, as in 0199c5f0-0000-7000-8000-000000000001")]
pub struct NotAnId;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// A new UUIDv7 with the time `at`, to the millisecond, and 62 of these random bits.
            pub fn at(at: OffsetDateTime, random: [u8; 16]) -> Self {
                Self(uuid_v7(at, random))
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                hyphenated(text).map(Self)
            }
        }
    };
}

id! {
    TenantId
}
id! {
    SubscriptionId
}
id! {
    /// One event: the `webhook-id` header and the API's `webhook_id`.
    EventId
}
id! {
    AttemptId
}
id! {
    ReplayId
}
id! {
    ApiKeyId
}
id! {
    WorkerId
}
id! {
    /// Proof of a lease, unique to each statement that leases.
    LeaseToken
}

impl EventId {
    /// When the event was accepted. `None` for another UUID version, or a year without four digits.
    pub fn accepted_at(self) -> Option<OffsetDateTime> {
        if self.0.get_version() != Some(uuid::Version::SortRand) {
            return None;
        }
        let (seconds, nanoseconds) = self.0.get_timestamp()?.to_unix();
        let since_epoch = time::Duration::try_from(Duration::new(seconds, nanoseconds)).ok()?;
        OffsetDateTime::UNIX_EPOCH.checked_add(since_epoch)
    }

    /// The smallest id with this time, as a bound of range scans.
    pub fn lower_bound(at: OffsetDateTime) -> Self {
        let millis = at.unix_timestamp_nanos().max(0) / 1_000_000;
        let bits = u64::try_from(millis).unwrap_or(u64::MAX) << 16;
        Self(Uuid::from_u64_pair(bits, 0))
    }

    /// Above every id with a time before this.
    pub(crate) fn upper_bound(at: OffsetDateTime) -> Self {
        Self::lower_bound(at.saturating_add(time::Duration::nanoseconds(999_999)))
    }

    /// The time of an [`EventId::lower_bound`]; `None` for the smallest id of all.
    pub(crate) fn bound_time(self) -> Option<OffsetDateTime> {
        let millis = i64::try_from(self.0.as_u64_pair().0 >> 16).ok().filter(|millis| *millis > 0)?;
        OffsetDateTime::UNIX_EPOCH.checked_add(time::Duration::milliseconds(millis))
    }
}

/// The 12 bits after the version count steps of 244 ns (RFC 9562, section 6.2, method 3): later ids are greater.
fn uuid_v7(at: OffsetDateTime, random: [u8; 16]) -> Uuid {
    let nanos = u128::try_from(at.unix_timestamp_nanos()).unwrap_or(0);
    let millis = u64::try_from(nanos / NANOS_PER_MILLI).unwrap_or(u64::MAX);
    let fraction = ((nanos % NANOS_PER_MILLI) << 12) / NANOS_PER_MILLI;
    let [_, _, _, _, _, _, _, _, rest @ ..] = random;
    let [high, low] = (fraction as u16).to_be_bytes();
    let mut bits = [high, low, 0, 0, 0, 0, 0, 0, 0, 0];
    bits[2..].copy_from_slice(&rest);
    uuid::Builder::from_unix_timestamp_millis(millis, &bits).into_uuid()
}

fn hyphenated(text: &str) -> Result<Uuid, NotAnId> {
    const LENGTH: usize = 36;
    if text.len() != LENGTH {
        return Err(NotAnId);
    }
    Uuid::try_parse(text).map_err(|_| NotAnId)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn an_event_id_carries_its_time_to_the_millisecond() {
        let at = datetime!(2026-11-23 18:00:00.123456 UTC);
        let id = EventId::at(at, Uuid::new_v4().into_bytes());
        assert_eq!(id.accepted_at(), Some(datetime!(2026-11-23 18:00:00.123 UTC)));
        assert!(EventId::lower_bound(at) <= id);
        assert!(EventId::lower_bound(at + Duration::from_millis(1)) > id);
        assert!(EventId::upper_bound(at + Duration::from_nanos(1)) > id);
        assert_eq!(EventId::lower_bound(at).bound_time(), Some(datetime!(2026-11-23 18:00:00.123 UTC)));
        assert_eq!(EventId::lower_bound(OffsetDateTime::UNIX_EPOCH).bound_time(), None);
    }

    #[test]
    fn ids_made_within_one_millisecond_are_in_the_order_of_their_making() {
        let start = datetime!(2026-11-23 18:00:00.123 UTC);
        let ids: Vec<_> = (0..1000)
            .map(|step| EventId::at(start + Duration::from_micros(step), Uuid::new_v4().into_bytes()))
            .collect();
        assert!(ids.is_sorted());
        assert!(ids.iter().all(|id| id.uuid().get_version() == Some(uuid::Version::SortRand)));
        assert_ne!(EventId::at(start, Uuid::new_v4().into_bytes()), EventId::at(start, Uuid::new_v4().into_bytes()));
    }

    #[test]
    fn an_id_that_no_event_can_have_carries_no_time() {
        for text in ["641d844f-ed76-100a-92f0-1f3ea9547fd1", "ffffffff-ffff-7fff-bfff-ffffffffffff"] {
            assert_eq!(text.parse::<EventId>().unwrap().accepted_at(), None, "{text}");
        }
    }

    #[test]
    fn only_the_hyphenated_form_is_an_id() {
        let text = "0199c5f0-0000-7000-8000-000000000001";
        assert_eq!(text.parse::<EventId>().map(|id| id.to_string()), Ok(text.to_owned()));
        for wrong in ["", "abc", "+1", "0199c5f0000070008000000000000001", "{0199c5f0-0000-7000-8000-000000000001}"] {
            assert_eq!(wrong.parse::<EventId>(), Err(NotAnId), "{wrong}");
        }
    }
}
