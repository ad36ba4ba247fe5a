//! Reading bodies within limits: bytes, time, media type.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::combinators::BoxBody;
use hyper::body::Body as _;
use poem::http::{HeaderMap, header};
use poem::{Body, Request};

use super::auth::{Bearer, Caller};
use super::problem::Problem;
use crate::domain::tenant::DEFAULT_TENANT;

mod budget;

pub(super) use budget::{BodyBudget, Party, RequestMemory};

/// For a whole body to arrive.
const READ_LIMIT: Duration = Duration::from_secs(30);

pub(super) async fn read(request: &Request, body: Body, limit: usize) -> Result<Bytes, Problem> {
    let caller: Option<&Caller> = request.extensions().get();
    let bearer: &Bearer = request.extensions().get().ok_or(Problem::Unauthenticated)?;
    // Bodies of an operator that concern no tenant count for the default tenant.
    let tenant = caller.map(|caller| caller.tenant).or(bearer.tenant).unwrap_or(DEFAULT_TENANT);
    read_for(Party::Tenant(tenant), request, body, limit).await
}

/// The reserved memory is freed after the response. A declared length above the limit is refused before reading.
pub(super) async fn read_for(party: Party, request: &Request, body: Body, limit: usize) -> Result<Bytes, Problem> {
    let memory: &RequestMemory = request.extensions().get().ok_or(Problem::Internal)?;
    let body: BoxBody<Bytes, std::io::Error> = body.into();
    let declared = body.size_hint().exact();
    let declared = declared.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    match declared {
        Some(0) => return Ok(Bytes::new()),
        Some(length) if length > limit => return Err(Problem::BodyTooLarge(limit)),
        _ => {}
    }
    let reading = tokio::time::timeout(READ_LIMIT, collect(party, memory, body, declared, limit));
    reading.await.unwrap_or(Err(Problem::RequestTimeout))
}

async fn collect(
    party: Party,
    memory: &RequestMemory,
    mut body: BoxBody<Bytes, std::io::Error>,
    declared: Option<usize>,
    limit: usize,
) -> Result<Bytes, Problem> {
    let mut permit = memory.reserve(party, declared.unwrap_or_default()).await?;
    let (mut first, mut whole) = (Bytes::new(), Vec::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::MalformedRequest("the body broke off or was framed wrongly"))?;
        let Ok(data) = frame.into_data() else { continue };
        let length = first.len() + whole.len() + data.len();
        if length > limit {
            return Err(Problem::BodyTooLarge(limit));
        }
        if first.is_empty() && whole.is_empty() {
            permit.grow(length).await?;
            first = data;
            continue;
        }
        if length > whole.capacity() {
            let capacity = declared.unwrap_or((2 * length).min(limit));
            permit.grow(capacity).await?;
            whole.reserve_exact(capacity - whole.len());
        }
        whole.extend_from_slice(&std::mem::take(&mut first));
        whole.extend_from_slice(&data);
    }
    memory.keep(permit);
    // Most bodies arrive in one piece and are not copied.
    Ok(if whole.is_empty() { first } else { whole.into() })
}

/// `application/json` with any parameters, but only UTF-8 and no encoding.
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
