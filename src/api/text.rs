//! Values written as text: schema, and reading from a JSON string, a parameter or a header.

use std::fmt;

use poem_openapi::NewType;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use serde::{Serialize, Serializer};
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};
use uuid::Uuid;

use super::attempts::StatusCodes;
use crate::domain::api_key::Scope;
use crate::domain::auth::AuthType;
use crate::domain::backoff::RetrySchedule;
use crate::domain::event_type::{EventType, EventTypePattern};
use crate::domain::external_id::{ExternalId, SubscriptionName};
use crate::domain::grant::Capability;
use crate::domain::id::EventId;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::ordering::OrderingKey;
use crate::domain::outcome::Outcome;
use crate::domain::replay::Ending;
use crate::domain::rfc3339;
use crate::domain::secret::Secret;
use crate::domain::subscription::MAX_DESCRIPTION_LENGTH;
use crate::domain::tenant::{MAX_NAME_LENGTH, TenantName, check_name};

/// Used if the type has no code of its own.
pub(super) const INVALID_PARAMETER: &str = "invalid_parameter";

#[derive(Debug)]
pub(super) struct Refused {
    pub(super) code: &'static str,
    pub(super) rule: String,
}

pub(super) trait FromText: Sized + Send + Sync + 'static {
    /// Code of an invalid query parameter.
    const QUERY_CODE: &'static str = INVALID_PARAMETER;

    fn rules() -> MetaSchema;

    fn from_text(text: &str) -> Result<Self, Refused>;
}

pub(super) fn inline(schema: MetaSchema) -> MetaSchemaRef {
    MetaSchemaRef::Inline(Box::new(schema))
}

fn pattern(min: usize, max: usize, pattern: &str) -> MetaSchema {
    MetaSchema {
        min_length: Some(min).filter(|min| *min > 0),
        max_length: Some(max),
        pattern: Some(pattern.to_owned()),
        ..MetaSchema::new("string")
    }
}

pub(super) fn words(words: &[&str]) -> MetaSchema {
    MetaSchema { enum_items: words.iter().map(|word| (*word).into()).collect(), ..MetaSchema::new("string") }
}

macro_rules! from_text {
    ($($type:ty, $code:literal $(, in a query $query_code:literal)?, $parse:expr, $rules:expr;)*) => {$(
        impl FromText for $type {
            $(const QUERY_CODE: &'static str = $query_code;)?

            fn rules() -> MetaSchema {
                $rules
            }

            fn from_text(text: &str) -> Result<Self, Refused> {
                $parse(text).map_err(|rule| Refused { code: $code, rule: rule.to_string() })
            }
        }
    )*};
}

from_text! {
    Uuid, "invalid_id", |text: &str| text.parse::<EventId>().map(EventId::uuid),
        MetaSchema::new_with_format("string", "uuid");
    Moment, "invalid_time", Moment::parse, MetaSchema::new_with_format("string", "date-time");
    EventType, "invalid_event_type", in a query "invalid_event_type", str::parse::<EventType>,
        pattern(1, 128, r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$");
    EventTypePattern, "invalid_event_type", str::parse::<EventTypePattern>,
        pattern(1, 128, r"^(\*|[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(\.\*)?)$");
    IdempotencyKey, "invalid_idempotency_key", str::parse::<IdempotencyKey>, pattern(1, 255, "^[!-~]+$");
    OrderingKey, "invalid_ordering_key", str::parse::<OrderingKey>, pattern(1, 255, "^[!-~]+$");
    // Not a UUID, and no reserved path segment.
    ExternalId, "invalid_external_id", in a query "invalid_external_id", str::parse::<ExternalId>,
        pattern(1, 255, concat!(
            r"^(?!\.{1,2}$|generate-signature$|filter-test$|(urn:uuid:)?[0-9A-Fa-f]{8}-?([0-9A-Fa-f]{4}-?){3}[0-9A-Fa-f]{12}$)",
            r"[A-Za-z0-9_.:-]{1,255}$",
        ));
    SubscriptionName, "invalid_id", subscription_name, pattern(1, 255, r"^(?!\.{1,2}$)[A-Za-z0-9_.:-]{1,255}$");
    TenantName, "invalid_id", tenant_name, pattern(1, 255, r"^(?!\.{1,2}$)[A-Za-z0-9_.:-]{1,255}$");
    Name, "invalid_name", |text: &str| check_name(text).map(|()| Name(text.to_owned())),
        pattern(1, MAX_NAME_LENGTH, r"^(?=.*\S)[^\x00-\x1f\x7f-\x9f]*$");
    SearchText, "invalid_parameter", SearchText::parse, pattern(1, MAX_SEARCH_LENGTH, r"^[^\x00-\x1f\x7f-\x9f]+$");
    Code, "invalid_parameter", Code::parse, pattern(1, MAX_CODE_LENGTH, "^[a-z0-9_]+$");
    StoredKey, "invalid_idempotency_key", StoredKey::parse, pattern(1, MAX_STORED_KEY_LENGTH, "^[ -~]+$");
    // `whsec_` and base64 of 24 to 64 bytes, or another text without control characters that is not the mask.
    Secret, "invalid_secret", Secret::parse, pattern(8, 256, concat!(
        r"^(whsec_(([A-Za-z0-9+/]{4}){8,20}([A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=|[A-Za-z0-9+/][AQgw]==)?",
        r"|([A-Za-z0-9+/]{4}){21}([A-Za-z0-9+/][AQgw]==)?)",
        r"|(?!whsec_|\*{8}$)[^\x00-\x1f\x7f-\x9f]+)$",
    ));
    RetrySchedule, "invalid_schedule", RetrySchedule::own,
        MetaSchema { max_length: Some(1_000), ..MetaSchema::new("string") };
    Outcome, "unknown_outcome", outcome, words(&Outcome::ALL.map(Outcome::as_str));
    StatusCodes, "invalid_status_code", StatusCodes::parse, pattern(3, 3, "^[1-5]([0-9]{2}|xx)$");
    Scope, "unknown_scope", str::parse::<Scope>, words(&Scope::ALL.map(Scope::as_str));
    Capability, "unknown_capability", str::parse::<Capability>, words(&Capability::ALL.map(Capability::as_str));
    Ending, "unknown_status", str::parse::<Ending>, words(&Ending::ALL.map(Ending::as_str));
    AuthType, "invalid_auth", auth_type, words(&["basic", "bearer"]);
}

fn subscription_name(text: &str) -> Result<SubscriptionName, &'static str> {
    text.parse().map_err(|_| "must be the UUID of a subscription in its hyphenated form, or an external id")
}

fn tenant_name(text: &str) -> Result<TenantName, &'static str> {
    text.parse().map_err(|_| "must be the UUID of a tenant in its hyphenated form, or an external id")
}

fn auth_type(text: &str) -> Result<AuthType, &'static str> {
    match text {
        "basic" => Ok(AuthType::Basic),
        "bearer" => Ok(AuthType::Bearer),
        _ => Err("must be basic or bearer"),
    }
}

fn outcome(text: &str) -> Result<Outcome, &'static str> {
    Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == text).ok_or("must be the name of an outcome")
}

#[derive(Debug, Clone)]
pub(super) struct Name(pub(super) String);

#[derive(Debug, Clone)]
pub(super) struct SearchText(pub(super) String);

const MAX_SEARCH_LENGTH: usize = 255;

impl SearchText {
    fn parse(text: &str) -> Result<Self, String> {
        let fits = (1..=MAX_SEARCH_LENGTH).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        let rule = || format!("must have 1 to {MAX_SEARCH_LENGTH} characters, without control characters");
        if fits { Ok(Self(text.to_owned())) } else { Err(rule()) }
    }
}

/// A problem's `code`, also of another version.
#[derive(Debug, Clone)]
pub(super) struct Code(pub(super) String);

const MAX_CODE_LENGTH: usize = 64;

impl Code {
    fn parse(text: &str) -> Result<Self, String> {
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let fits = (1..=MAX_CODE_LENGTH).contains(&text.len()) && text.bytes().all(legal);
        if fits { Ok(Self(text.to_owned())) } else { Err("must be the code of a problem, as in body_too_large".into()) }
    }
}

/// An idempotency key as it is stored: a producer's has blanks.
#[derive(Debug, Clone)]
pub(super) struct StoredKey(pub(super) String);

/// The producer's name, a subscription, and the longest id of an event.
const MAX_STORED_KEY_LENGTH: usize = 350;

impl StoredKey {
    fn parse(text: &str) -> Result<Self, String> {
        let fits = (1..=MAX_STORED_KEY_LENGTH).contains(&text.len());
        let visible = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        let rule = || format!("must be 1 to {MAX_STORED_KEY_LENGTH} visible ASCII characters or blanks");
        if fits && visible { Ok(Self(text.to_owned())) } else { Err(rule()) }
    }
}

/// Text with line breaks, without other control characters.
#[derive(Debug, Clone)]
pub(super) struct Description(pub(super) String);

/// No control characters except line feed and tab.
pub(super) const LINES: &str = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$";

impl FromText for Description {
    fn rules() -> MetaSchema {
        pattern(0, MAX_DESCRIPTION_LENGTH, LINES)
    }

    fn from_text(text: &str) -> Result<Self, Refused> {
        if text.chars().count() > MAX_DESCRIPTION_LENGTH {
            let rule = format!("must be at most {MAX_DESCRIPTION_LENGTH} characters");
            return Err(Refused { code: "too_long", rule });
        }
        if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
            let rule = "must not contain control characters".to_owned();
            return Err(Refused { code: "control_character", rule });
        }
        Ok(Self(text.to_owned()))
    }
}

macro_rules! choice {
    ($(#[doc = $doc:literal])* $vis:vis enum $type:ident {
        $($(#[doc = $about:literal])* $case:ident = $word:literal,)*
    }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $vis enum $type {
            $($(#[doc = $about])* $case,)*
        }

        impl $type {
            $vis fn word(self) -> &'static str {
                match self {
                    $(Self::$case => $word,)*
                }
            }
        }

        impl $crate::api::text::FromText for $type {
            fn rules() -> poem_openapi::registry::MetaSchema {
                $crate::api::text::words(&[$($word),*])
            }

            fn from_text(text: &str) -> Result<Self, $crate::api::text::Refused> {
                let known = [$(Self::$case),*].into_iter().find(|choice| choice.word() == text);
                known.ok_or_else(|| $crate::api::text::Refused {
                    code: $crate::api::text::INVALID_PARAMETER,
                    rule: format!("must be {}", [$($word),*].join(" or ")),
                })
            }
        }
    };
}
pub(super) use choice;

/// RFC 3339 in UTC with microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, NewType)]
#[oai(from_parameter = false, from_multipart = false, to_header = false)]
pub(super) struct Moment(pub(super) OffsetDateTime);

impl Moment {
    /// The parser's message would describe the parser, not the rule.
    fn parse(text: &str) -> Result<Self, &'static str> {
        let moment = rfc3339::parse(text).map(Self);
        moment.ok_or("must be an RFC 3339 time of the years 1 to 9999, as in 2026-11-23T18:00:00Z")
    }
}

/// The framework requires it of fields that are never read.
impl Default for Moment {
    fn default() -> Self {
        Self(OffsetDateTime::UNIX_EPOCH)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
        let text = self.0.to_offset(UtcOffset::UTC).format(&form).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_moment_is_written_in_utc_with_microseconds() {
        assert_eq!(Moment(datetime!(2026-11-23 19:00:00.123456789 +1)).to_string(), "2026-11-23T18:00:00.123456Z");
    }

    #[test]
    fn an_id_is_read_in_its_hyphenated_form_alone() {
        assert!(Uuid::from_text("0199c5f0-0000-7000-8000-000000000001").is_ok());
        for other in ["", "0199c5f00000700080000000000000001", "{0199c5f0-0000-7000-8000-000000000001}", "1"] {
            assert!(Uuid::from_text(other).is_err());
        }
    }
}
