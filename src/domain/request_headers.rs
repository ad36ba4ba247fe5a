//! The headers and the authorization that a subscription adds to its requests.
//!
//! Values are secret: sealed at rest, never shown, never in an error. They cannot contain a line break, so they
//! cannot add a header.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::auth::{Auth, AuthType};

pub(crate) const MAX_HEADERS: usize = 20;
pub(crate) const MAX_NAME_BYTES: usize = 100;
pub(crate) const MAX_VALUE_BYTES: usize = 4_096;
/// Names and values together, the authorization included. Many servers read 8 KiB of head: 2 KiB of them are for the
/// target, 1 KiB for what postrider sets.
pub(crate) const MAX_TOTAL_BYTES: usize = 4_608;
/// Colon, blank and line end.
const LINE_BYTES: usize = 4;

/// Set by postrider, or used by HTTP for framing and routing.
const RESERVED: [&str; 19] = [
    "connection",
    "cookie2",
    "date",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-event-type",
    "x-hub-signature",
    "x-hub-signature-256",
    "x-ordering-key",
    "x-real-ip",
];
const RESERVED_PREFIXES: [&str; 6] = ["content-", "proxy-", "webhook-", "x-forwarded-", "x-postrider-", "x-webhook-"];

/// Why headers or an authorization are invalid. Messages never repeat values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHeader {
    #[error("must have a name of 1 to {MAX_NAME_BYTES} letters, digits and !#$%&'*+-.^_`|~")]
    Name,
    #[error("must not be given: postrider sets it, or it frames the message")]
    Reserved,
    #[error("must be given as auth")]
    Authorization,
    #[error("must be at most {MAX_VALUE_BYTES} bytes of visible ASCII, with blanks and tabs only in between")]
    Value,
    /// A mask without a stored value.
    #[error("is the mask of an answer, and no value is stored under this name")]
    NothingStored,
    #[error("must have at most {MAX_HEADERS} entries")]
    TooMany,
    #[error(
        "must be at most {MAX_TOTAL_BYTES} bytes, names, values and auth together, and 4 for each line: many receivers read no more than 8 KiB of head"
    )]
    TooLarge,
    /// A type without credentials, and none of this type are stored.
    #[error("must be whole: nothing of this type is stored")]
    NoAuthStored,
}

/// The headers of a subscription. Serialised only to be sealed.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestHeaders {
    headers: BTreeMap<String, String>,
    auth: Option<Auth>,
}

impl RequestHeaders {
    pub(crate) fn is_empty(&self) -> bool {
        self.headers.is_empty() && self.auth.is_none()
    }

    /// In lower case, without `authorization`.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.headers.keys().map(String::as_str)
    }

    pub(crate) fn auth(&self) -> Option<&Auth> {
        self.auth.as_ref()
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = (&str, String)> {
        let own = self.headers.iter().map(|(name, value)| (name.as_str(), value.clone()));
        own.chain(self.auth.as_ref().map(|auth| ("authorization", auth.header())))
    }
}

impl fmt::Debug for RequestHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).entries(&self.auth).finish()
    }
}

pub(crate) fn header_name(text: &str) -> Result<String, InvalidHeader> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !(1..=MAX_NAME_BYTES).contains(&text.len()) || !text.bytes().all(legal) {
        return Err(InvalidHeader::Name);
    }
    let name = text.to_ascii_lowercase();
    if name == "authorization" {
        return Err(InvalidHeader::Authorization);
    }
    let reserved = RESERVED.contains(&name.as_str()) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    if reserved { Err(InvalidHeader::Reserved) } else { Ok(name) }
}

pub(crate) fn check_value(value: &str) -> Result<(), InvalidHeader> {
    let legal = |byte: u8| byte.is_ascii_graphic() || byte == b' ' || byte == b'\t';
    let fits = value.len() <= MAX_VALUE_BYTES && value.bytes().all(legal) && value.trim() == value;
    if fits { Ok(()) } else { Err(InvalidHeader::Value) }
}

/// Changes to the headers of a subscription; `None` changes nothing.
#[derive(Debug, Clone, Default)]
pub struct HeaderChanges {
    /// All headers; one without a value keeps its stored value.
    pub(crate) headers: Option<BTreeMap<String, Option<String>>>,
    /// The new authorization; `Some(None)` removes it.
    pub(crate) auth: Option<Option<AuthChange>>,
}

#[derive(Debug, Clone)]
pub(crate) enum AuthChange {
    New(Auth),
    /// The stored credentials, which must have this type.
    Stored(AuthType),
}

impl HeaderChanges {
    pub(crate) fn is_none(&self) -> bool {
        self.headers.is_none() && self.auth.is_none()
    }

    /// Whether a stored value stays, so that the stored headers must be opened.
    pub(crate) fn keeps(&self, has_headers: bool, has_auth: bool) -> bool {
        let headers = self.headers.as_ref().map_or(has_headers, |all| all.values().any(Option::is_none));
        let auth = match &self.auth {
            None => has_auth,
            Some(auth) => matches!(auth, Some(AuthChange::Stored(_))),
        };
        headers || auth
    }

    /// Applies the changes. The error names its header.
    pub(crate) fn over(&self, current: &RequestHeaders) -> Result<RequestHeaders, (Option<String>, InvalidHeader)> {
        let mut headers = BTreeMap::new();
        match &self.headers {
            None => headers.clone_from(&current.headers),
            Some(all) => {
                for (name, value) in all {
                    let value = value.as_ref().or_else(|| current.headers.get(name));
                    let value = value.ok_or_else(|| (Some(name.clone()), InvalidHeader::NothingStored))?;
                    headers.insert(name.clone(), value.clone());
                }
            }
        }
        if headers.len() > MAX_HEADERS {
            return Err((None, InvalidHeader::TooMany));
        }
        let stored = |kind| current.auth.clone().filter(|auth| auth.kind() == kind);
        let auth = match &self.auth {
            None => current.auth.clone(),
            Some(None) => None,
            Some(Some(AuthChange::New(auth))) => Some(auth.clone()),
            Some(Some(AuthChange::Stored(kind))) => Some(stored(*kind).ok_or((None, InvalidHeader::NoAuthStored))?),
        };
        let all = RequestHeaders { headers, auth };
        let bytes: usize = all.lines().map(|(name, value)| name.len() + value.len() + LINE_BYTES).sum();
        if bytes > MAX_TOTAL_BYTES { Err((None, InvalidHeader::TooLarge)) } else { Ok(all) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(entries: &[(&str, Option<&str>)]) -> HeaderChanges {
        let entry = |(name, value): &(&str, Option<&str>)| ((*name).to_owned(), value.map(str::to_owned));
        HeaderChanges { headers: Some(entries.iter().map(entry).collect()), auth: None }
    }

    fn some() -> RequestHeaders {
        let auth = Some(Some(AuthChange::New(Auth::bearer("canary-token".to_owned()).unwrap())));
        let changes = HeaderChanges { auth, ..all(&[("x-a", Some("canary")), ("x-b", Some("2"))]) };
        changes.over(&RequestHeaders::default()).unwrap()
    }

    #[test]
    fn names_are_tokens_in_lower_case_and_some_are_not_free() {
        assert_eq!(header_name("X-Api-Key"), Ok("x-api-key".to_owned()));
        for none in ["", "a b", "a:", "ä", "a\r\nb", &"x".repeat(101)] {
            assert_eq!(header_name(none), Err(InvalidHeader::Name), "{none}");
        }
        for reserved in ["Host", "CONTENT-length", "Te", "proxy-x", "Webhook-Id", "x-webhook-attempt", "Forwarded"] {
            assert_eq!(header_name(reserved), Err(InvalidHeader::Reserved), "{reserved}");
        }
        assert_eq!(header_name("Authorization"), Err(InvalidHeader::Authorization));
    }

    #[test]
    fn no_value_ends_its_line() {
        for value in ["", "a b\tc", "~!@", &"x".repeat(4_096)] {
            assert_eq!(check_value(value), Ok(()), "{value}");
        }
        for value in ["a\rb", "a\nb", "a\r\nX-Evil: 1", "\0", "ä", " a", "a\t", &"x".repeat(4_097)] {
            assert_eq!(check_value(value), Err(InvalidHeader::Value), "{value:?}");
        }
    }

    #[test]
    fn a_change_names_all_headers_and_may_keep_what_is_stored() {
        let kept = all(&[("x-a", None), ("x-c", Some("3"))]).over(&some()).unwrap();
        assert_eq!(kept.names().collect::<Vec<_>>(), ["x-a", "x-c"]);
        assert_eq!(kept.lines().next(), Some(("x-a", "canary".to_owned())));
        assert!(kept.auth().is_some());
        let unknown = all(&[("x-c", None)]).over(&some());
        assert_eq!(unknown, Err((Some("x-c".to_owned()), InvalidHeader::NothingStored)));
        let other = HeaderChanges { headers: None, auth: Some(Some(AuthChange::Stored(AuthType::Basic))) };
        assert_eq!(other.over(&some()), Err((None, InvalidHeader::NoAuthStored)));
    }

    #[test]
    fn only_what_is_kept_has_to_be_opened() {
        let anew = HeaderChanges { auth: Some(None), ..all(&[("x-a", Some("1"))]) };
        assert!(!anew.keeps(true, true));
        assert!(all(&[("x-a", Some("1"))]).keeps(true, true), "the authorization is kept");
        assert!(!all(&[("x-a", Some("1"))]).keeps(true, false));
        assert!(all(&[("x-a", None)]).keeps(true, false));
    }

    #[test]
    fn all_of_it_has_limits() {
        let names: Vec<String> = (0..21).map(|n| format!("x-{n}")).collect();
        let entries: Vec<_> = names.iter().map(|name| (name.as_str(), Some("1"))).collect();
        assert_eq!(all(&entries).over(&RequestHeaders::default()), Err((None, InvalidHeader::TooMany)));
        let long = "x".repeat(4_096);
        let one = all(&[("x-0", Some(&long))]);
        assert!(one.over(&RequestHeaders::default()).is_ok());
        let two = all(&[("x-0", Some(&long)), ("x-1", Some(&long[..502]))]);
        assert_eq!(two.over(&RequestHeaders::default()), Err((None, InvalidHeader::TooLarge)));
        let bearer = Auth::bearer("x".repeat(490)).unwrap();
        let with_auth = HeaderChanges { auth: Some(Some(AuthChange::New(bearer))), ..one };
        assert_eq!(with_auth.over(&RequestHeaders::default()), Err((None, InvalidHeader::TooLarge)));
    }

    #[test]
    fn debug_output_shows_names_alone() {
        let shown = format!("{:?}", some());
        assert!(shown.contains("x-a") && !shown.contains("canary"), "{shown}");
    }
}
