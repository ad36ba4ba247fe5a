//! The request id, on every response.

use poem::http::{HeaderMap, HeaderName};
use uuid::Uuid;

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_LENGTH: usize = 64;

#[derive(Debug, Clone, Default)]
pub(super) struct RequestId(pub(super) String);

/// The caller's own id if it is short and harmless, because it is written to the log.
pub(super) fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(X_REQUEST_ID).and_then(|value| value.to_str().ok());
    match given {
        Some(id) if is_harmless(id) => id.to_owned(),
        _ => Uuid::now_v7().hyphenated().to_string(),
    }
}

fn is_harmless(id: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=MAX_LENGTH).contains(&id.len()) && id.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_plain_ids_are_reused() {
        let with = |id: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, id.parse().unwrap());
            request_id(&headers)
        };
        assert_eq!(with("abc.DEF_1-2"), "abc.DEF_1-2");
        for stranger in ["", "a b", "a\"b", "ä", &"a".repeat(65)] {
            assert_ne!(with(stranger), stranger);
        }
    }
}
