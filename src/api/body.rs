//! Reading bodies within limits: bytes, time, media type.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use poem::Body;
use poem::http::{HeaderMap, header};

use super::problem::Problem;

/// Most time a whole body may take to arrive.
const READ_LIMIT: Duration = Duration::from_secs(30);

/// Reads a body whole.
///
/// # Errors
/// [`Problem::BodyTooLarge`] as soon as it is known, before reading where the length is
/// declared; [`Problem::RequestTimeout`]; [`Problem::MalformedRequest`] where it breaks off.
pub(super) async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Problem> {
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > limit)) {
        return Err(Problem::BodyTooLarge(limit));
    }
    let reading = tokio::time::timeout(READ_LIMIT, collect(body, limit));
    reading.await.unwrap_or(Err(Problem::RequestTimeout))
}

async fn collect(body: Body, limit: usize) -> Result<Bytes, Problem> {
    let mut body: http_body_util::combinators::BoxBody<Bytes, std::io::Error> = body.into();
    let mut whole = BytesMut::new();
    let mut only = Bytes::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::MalformedRequest("the body broke off or was framed wrongly"))?;
        let Ok(data) = frame.into_data() else { continue };
        if only.len() + whole.len() + data.len() > limit {
            return Err(Problem::BodyTooLarge(limit));
        }
        // Most bodies arrive in one piece, which is then kept as it is.
        if only.is_empty() && whole.is_empty() {
            only = data;
            continue;
        }
        if !only.is_empty() {
            whole.extend_from_slice(&std::mem::take(&mut only));
        }
        whole.extend_from_slice(&data);
    }
    Ok(if whole.is_empty() { only } else { whole.freeze() })
}

/// Whether what is declared is plain JSON: `application/json`, parameters allowed, no
/// character set but UTF-8, no encoding.
///
/// # Errors
/// [`Problem::UnsupportedMediaType`].
pub(super) fn check_json(headers: &HeaderMap) -> Result<(), Problem> {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(content_type), None) = (types.next(), types.next()) else {
        return Err(Problem::UnsupportedMediaType);
    };
    let plain = content_type.to_str().is_ok_and(is_json_in_utf8);
    if plain && !headers.contains_key(header::CONTENT_ENCODING) { Ok(()) } else { Err(Problem::UnsupportedMediaType) }
}

fn is_json_in_utf8(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"));
    let fits = |parameter: &str| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            let value = value.trim().trim_matches('"');
            value.eq_ignore_ascii_case("utf-8") || value.eq_ignore_ascii_case("utf8")
        }
        _ => true,
    };
    is_json && parts.all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_in_utf8_passes() {
        for good in ["application/json", "Application/JSON; charset=UTF-8", "application/json;charset=\"utf-8\"; v=1"] {
            assert!(is_json_in_utf8(good), "{good}");
        }
        for bad in ["", "text/plain", "application/json; charset=utf-16", "application/jsonx", "json"] {
            assert!(!is_json_in_utf8(bad), "{bad}");
        }
    }
}
