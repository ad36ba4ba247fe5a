//! The content type of a payload. It travels to the receiver as it came.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

pub(crate) const MAX_CONTENT_TYPE_BYTES: usize = 255;

pub(crate) const JSON: &str = "application/json";
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";
pub(crate) const CLOUD_EVENT: &str = "application/cloudevents+json";
pub(crate) const CLOUD_EVENT_BATCH: &str = "application/cloudevents-batch+json";

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a content type of at most {MAX_CONTENT_TYPE_BYTES} visible characters, as in application/json")]
pub struct InvalidContentType;

/// A valid header value; `application/json` takes no memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContentType(Option<Arc<str>>);

impl ContentType {
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or(JSON)
    }

    /// `None` for plain `application/json`.
    pub(crate) fn other_than_json(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Skips the check: it was valid when it was stored.
    pub(crate) fn stored(text: Option<String>) -> Self {
        Self(text.map(Arc::from))
    }

    /// `type/subtype` in lower case, without parameters.
    pub(crate) fn essence(&self) -> String {
        self.as_str().split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// JSON in UTF-8: `application/json` or `…+json`, without another charset.
    pub(crate) fn is_json(&self) -> bool {
        let Some(text) = &self.0 else { return true };
        let mut parts = text.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default();
        let is_json = essence.eq_ignore_ascii_case(JSON)
            || essence.rsplit_once('+').is_some_and(|(_, suffix)| suffix.eq_ignore_ascii_case("json"));
        is_json && parts.all(is_utf8)
    }
}

fn is_utf8(parameter: &str) -> bool {
    match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            let value = value.trim().trim_matches('"');
            value.eq_ignore_ascii_case("utf-8") || value.eq_ignore_ascii_case("utf8")
        }
        _ => true,
    }
}

/// `type/subtype` of tokens (RFC 9110, 8.3.1).
pub(crate) fn is_essence(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte);
    let is_token = |token: &str| !token.is_empty() && token.bytes().all(legal);
    text.len() <= MAX_CONTENT_TYPE_BYTES
        && text.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

impl FromStr for ContentType {
    type Err = InvalidContentType;

    fn from_str(text: &str) -> Result<Self, InvalidContentType> {
        if text == JSON {
            return Ok(Self::default());
        }
        let legal = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
        let is_value = text.len() <= MAX_CONTENT_TYPE_BYTES && text.trim() == text && text.bytes().all(legal);
        let essence = text.split(';').next().unwrap_or_default().trim_end();
        if is_value && is_essence(essence) { Ok(Self(Some(text.into()))) } else { Err(InvalidContentType) }
    }
}

impl fmt::Display for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> ContentType {
        text.parse().unwrap()
    }

    #[test]
    fn json_in_utf8_is_json_whatever_its_name() {
        for good in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"; v=1",
            "application/cloudevents+json",
            "application/vnd.api+JSON; charset=utf8",
        ] {
            assert!(read(good).is_json(), "{good}");
        }
        for other in ["text/plain", "application/json; charset=utf-16", "application/jsonx", "application/xml", FORM] {
            assert!(!read(other).is_json(), "{other}");
        }
    }

    #[test]
    fn only_plain_json_is_stored_as_nothing() {
        assert_eq!(read("application/json").other_than_json(), None);
        assert_eq!(read("application/json; charset=utf-8").other_than_json(), Some("application/json; charset=utf-8"));
        assert_eq!(read("Application/X-WWW-form-urlencoded; charset=utf-8").essence(), FORM);
    }

    #[test]
    fn what_is_no_content_type_is_refused() {
        for text in ["", "json", "a/", "/b", "a b/c", "text/pl\r\nain", " text/plain", "text/plain;é", "a/b/c"] {
            assert_eq!(text.parse::<ContentType>(), Err(InvalidContentType), "{text:?}");
        }
        assert!(format!("a/b;{}", "x".repeat(252)).parse::<ContentType>().is_err());
    }
}
