//! Percent-encoding in paths and queries. A path is decoded once, segment by segment: `%2F` is part of a value and
//! never separates two.

use std::borrow::Cow;

use super::problem::Problem;

const BROKEN: &str = "a % in the path or query must be followed by two hexadecimal digits";
const NOT_UTF8: &str = "the percent-encoded bytes of the path or query must be UTF-8";

/// The same path as the router compares it (RFC 3986, 6.2.2.2): a character that a segment may contain stands plain.
/// Other characters stay encoded; the router decodes them in the values that it finds.
///
/// # Errors
/// 400 if an encoding is broken, so that no two programs read the path differently.
pub(super) fn normalised(path: &str) -> Result<Cow<'_, str>, Problem> {
    if !path.contains('%') {
        return Ok(Cow::Borrowed(path));
    }
    let mut plain = String::with_capacity(path.len());
    check(path, |text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte) {
            plain.push(char::from(byte));
        } else {
            plain.push_str(text);
        }
    })?;
    Ok(Cow::Owned(plain))
}

/// # Errors
/// 400 if an encoding is broken.
pub(super) fn check_query(query: &str) -> Result<(), Problem> {
    check(query, |_, _| {})
}

/// Calls `each` with every part of a text, as it was written and as the byte that it means.
fn check(text: &str, mut each: impl FnMut(&str, u8)) -> Result<(), Problem> {
    let mut meant = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if first == '%' { 3 } else { first.len_utf8() };
        let (part, after) = rest.split_at_checked(length).ok_or(Problem::MalformedRequest(BROKEN))?;
        if first.is_ascii() {
            let byte = if first == '%' { encoded(part) } else { u8::try_from(first).ok() };
            let byte = byte.ok_or(Problem::MalformedRequest(BROKEN))?;
            each(part, byte);
            meant.push(byte);
        } else {
            part.bytes().for_each(|byte| meant.push(byte));
            each(part, 0);
        }
        rest = after;
    }
    std::str::from_utf8(&meant).map(|_| ()).map_err(|_| Problem::MalformedRequest(NOT_UTF8))
}

/// The byte of `%41`.
fn encoded(text: &str) -> Option<u8> {
    let digits = text.strip_prefix('%').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u8::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_character_that_a_segment_may_contain_stands_plain_and_others_stay_encoded() {
        for (written, compared) in [
            ("/ingest/crm:orders", "/ingest/crm:orders"),
            ("/ingest/crm%3Aorders", "/ingest/crm:orders"),
            ("/%69ngest/crm%3aorders/", "/ingest/crm:orders/"),
            ("/ingest/a%2Fb", "/ingest/a%2Fb"),
            ("/ingest/a%253Ab", "/ingest/a%253Ab"),
            ("/ingest/%00%20%C3%A4", "/ingest/%00%20%C3%A4"),
        ] {
            assert_eq!(normalised(written).unwrap(), compared, "{written}");
        }
    }

    #[test]
    fn a_broken_encoding_is_refused() {
        for broken in ["/%", "/a%3", "/%zz", "/%+1", "/%u0041", "/%é", "/x/%4/"] {
            assert_eq!(normalised(broken), Err(Problem::MalformedRequest(BROKEN)), "{broken}");
            assert!(check_query(broken).is_err(), "{broken}");
        }
        for not_utf8 in ["/%ff", "/%c3/%a4", "/%C0%AF"] {
            assert_eq!(normalised(not_utf8), Err(Problem::MalformedRequest(NOT_UTF8)), "{not_utf8}");
        }
    }

    proptest! {
        #[test]
        fn a_path_is_decoded_once(text in "\\PC{0,40}") {
            let encoded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
            let path = format!("/x/{}", encoded.replace('+', "%20"));
            let compared = normalised(&path).unwrap().into_owned();
            // What is plain now is no encoding: a second look changes nothing.
            prop_assert_eq!(normalised(&compared).unwrap(), compared.clone());
            prop_assert_eq!(compared.matches('/').count(), 2);
        }
    }
}
