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
use crate::domain::content_type::{ContentType, JSON};
use crate::domain::tenant::DEFAULT_TENANT;

mod budget;

pub(super) use budget::{BodyBudget, Party, RequestMemory};

/// For a whole body to arrive.
const READ_LIMIT: Duration = Duration::from_secs(30);
pub(super) const PLAIN_JSON: &str = "the content type must be application/json, in UTF-8, without content encoding";

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

/// The content type of a payload; JSON has to be UTF-8.
pub(super) fn content_type(headers: &HeaderMap) -> Result<ContentType, Problem> {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(content_type), None) = (types.next(), types.next()) else {
        return Err(Problem::UnsupportedMediaType(PLAIN_JSON));
    };
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(Problem::UnsupportedMediaType("the body must come without content encoding"));
    }
    let read = content_type.to_str().ok().and_then(|text| text.parse().ok());
    read.ok_or(Problem::UnsupportedMediaType(PLAIN_JSON))
}

/// `application/json` with any parameters, but only UTF-8 and no encoding.
pub(super) fn check_json(headers: &HeaderMap) -> Result<(), Problem> {
    let content_type = content_type(headers)?;
    // A suffix such as +json names another format.
    let fits = content_type.essence() == JSON && content_type.is_json();
    if fits { Ok(()) } else { Err(Problem::UnsupportedMediaType(PLAIN_JSON)) }
}
