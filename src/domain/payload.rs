//! Payloads are checked and never changed.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::content_type::ContentType;

/// Deeper documents break receivers' parsers.
pub(crate) const MAX_DEPTH: usize = 128;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPayload {
    #[error("the body must be one JSON document in UTF-8, without byte order mark")]
    Malformed,
    #[error("the payload must be a JSON object or array")]
    NotAContainer,
    #[error("the payload must not nest deeper than {MAX_DEPTH} levels")]
    TooDeep,
    #[error("the body must not be empty")]
    Empty,
}

/// The bytes as received, which are also the bytes sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    bytes: Bytes,
    content_type: ContentType,
}

impl Payload {
    /// Checks the grammar only; numbers, escapes, duplicate keys and white space stay as they are.
    pub fn parse(bytes: Bytes) -> Result<Self, InvalidPayload> {
        serde_json::from_slice::<&RawValue>(&bytes).map_err(|_| InvalidPayload::Malformed)?;
        let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
        if !matches!(first, Some(b'{' | b'[')) {
            return Err(InvalidPayload::NotAContainer);
        }
        if depth(&bytes) > MAX_DEPTH {
            return Err(InvalidPayload::TooDeep);
        }
        Ok(Self { bytes, content_type: ContentType::default() })
    }

    /// Of this content type; what is not JSON is not looked into.
    pub(crate) fn of(bytes: Bytes, content_type: ContentType) -> Result<Self, InvalidPayload> {
        if content_type.is_json() {
            return Ok(Self { content_type, ..Self::parse(bytes)? });
        }
        if bytes.is_empty() { Err(InvalidPayload::Empty) } else { Ok(Self { bytes, content_type }) }
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(crate) fn content_type(&self) -> &ContentType {
        &self.content_type
    }
}

/// Iterative, so that a deep document cannot exhaust the stack.
fn depth(document: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0_usize);
    let (mut in_string, mut escaped) = (false, false);
    for byte in document {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Payload, InvalidPayload> {
        Payload::parse(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn the_bytes_stay_as_they_came() {
        for text in [
            " {\n \"b\" : 1,\t\"a\":2 }\r\n",
            r#"{"a":"\u0000","b":"\ud800"}"#,
            r#"{"n":[12345678901234567890123,1e400,-0,1.10]}"#,
            r#"{"a":1,"a":2}"#,
            "[]",
        ] {
            assert_eq!(parse(text).unwrap().bytes(), text.as_bytes());
        }
    }

    #[test]
    fn what_is_not_one_document_is_malformed() {
        for text in [
            "",
            " ",
            "{}\n{}",
            "{}x",
            "{\"a\":NaN}",
            "{\"a\":01}",
            "{\"a\":.5}",
            "{\"a\":\"\\x41\"}",
            "{\"a\":\"b",
            "\u{feff}{}",
            "\u{b}{}",
            "{}\0",
        ] {
            assert_eq!(parse(text), Err(InvalidPayload::Malformed), "{text:?}");
        }
        let surrogate = Bytes::from_static(b"{\"a\":\"\xed\xa0\x80\"}");
        assert_eq!(Payload::parse(surrogate), Err(InvalidPayload::Malformed));
    }

    #[test]
    fn a_bare_value_is_not_a_payload() {
        for text in ["null", "\"x\"", " 1", "true"] {
            assert_eq!(parse(text), Err(InvalidPayload::NotAContainer), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded_and_brackets_in_strings_do_not_count() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(parse(&nested(MAX_DEPTH + 1)), Err(InvalidPayload::TooDeep));
        assert_eq!(parse(&nested(100_000)), Err(InvalidPayload::TooDeep));
        assert!(parse(&format!("{{\"a\":\"{}\\\"[\"}}", "[".repeat(500))).is_ok());
    }
}
