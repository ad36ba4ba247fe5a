//! Bodies for poem-openapi: documented by a type, read and written as bytes.
//! Its own JSON payload reads without limit, accepts duplicates and rebuilds documents, which breaks signatures.

use std::marker::PhantomData;

use bytes::Bytes;
use poem::http::StatusCode;
use poem::{Body, IntoResponse, Request, RequestBody, Response};
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ApiResponse, ExtractParamOptions};
use serde::Serialize;

use super::body;
use super::form::{self, FormField};
use super::problem::Problem;
use crate::domain::target::TargetPolicy;

const JSON: &str = "application/json";
/// For operations other than publishing.
pub(super) const CONTROL_LIMIT: usize = 64 * 1_024;

/// At most `LIMIT` bytes, documented as `T` and not parsed yet.
pub(super) struct Document<T, const LIMIT: usize = CONTROL_LIMIT, const REQUIRED: bool = true> {
    bytes: Bytes,
    documented_as: PhantomData<fn() -> T>,
}

/// A missing body counts as an object without fields.
pub(super) type OptionalDocument<T> = Document<T, CONTROL_LIMIT, false>;

/// Not read yet; documented as `T`.
pub(super) struct Unread<T, const REQUIRED: bool = true> {
    pub(super) body: Body,
    documented_as: PhantomData<fn() -> T>,
}

impl<T: FormField, const LIMIT: usize, const REQUIRED: bool> Document<T, LIMIT, REQUIRED> {
    pub(super) fn read(&self, targets: &TargetPolicy) -> Result<T, Problem> {
        form::read(&self.bytes, targets)
    }
}

/// The response of an operation, or the refusal of its parameters.
pub(super) enum Answer<T, const STATUS: u16 = 200> {
    Value(T),
    /// Refused before the operation began.
    Refused(Problem),
}

fn request_meta<T: FormField>() -> MetaRequest {
    let content = vec![MetaMediaType { content_type: JSON, schema: T::schema() }];
    MetaRequest { description: None, content, required: true }
}

impl<'a, T: FormField, const LIMIT: usize, const REQUIRED: bool> ApiExtractor<'a> for Document<T, LIMIT, REQUIRED> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(MetaRequest { required: REQUIRED, ..request_meta::<T>() })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        if REQUIRED {
            body::check_json(request.headers())?;
        }
        let mut bytes = body::read(request, body.take()?, LIMIT).await?;
        match bytes.is_empty() {
            _ if REQUIRED => {}
            true => bytes = Bytes::from_static(b"{}"),
            false => body::check_json(request.headers())?,
        }
        Ok(Self { bytes, documented_as: PhantomData })
    }
}

impl<'a, T: FormField, const REQUIRED: bool> ApiExtractor<'a> for Unread<T, REQUIRED> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(MetaRequest { required: REQUIRED, ..request_meta::<T>() })
    }

    async fn from_request(
        _request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(Self { body: body.take()?, documented_as: PhantomData })
    }
}

impl<T: Serialize + Send, const STATUS: u16> IntoResponse for Answer<T, STATUS> {
    fn into_response(self) -> Response {
        let value = match self {
            Self::Value(value) => value,
            Self::Refused(problem) => return problem.into_response(),
        };
        match serde_json::to_vec(&value) {
            Ok(body) => Response::builder()
                .status(StatusCode::from_u16(STATUS).unwrap_or(StatusCode::OK))
                .content_type(JSON)
                .body(body),
            Err(error) => {
                tracing::error!(%error, "an answer cannot be written as JSON");
                Problem::Internal.into_response()
            }
        }
    }
}

impl<T: Type, const STATUS: u16> ApiResponse for Answer<T, STATUS> {
    const BAD_REQUEST_HANDLER: bool = true;

    fn meta() -> MetaResponses {
        MetaResponses {
            responses: vec![MetaResponse {
                description: "It is done.",
                status: Some(STATUS),
                status_range: None,
                content: vec![MetaMediaType { content_type: JSON, schema: T::schema_ref() }],
                headers: vec![],
            }],
        }
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn from_parse_request_error(error: poem::Error) -> Self {
        Self::Refused(refused(&error))
    }
}

pub(super) fn refused(error: &poem::Error) -> Problem {
    let problem = error.data::<Problem>().cloned();
    problem.unwrap_or(Problem::MalformedRequest("the request cannot be read"))
}

/// The answer of an operation that creates or replaces.
pub(super) enum Written<T> {
    /// 201.
    Created(T),
    /// 200.
    Replaced(T),
    /// A parameter or the body was refused before the operation began.
    Refused(Problem),
}

impl<T: Type + Serialize + Send> IntoResponse for Written<T> {
    fn into_response(self) -> Response {
        match self {
            Self::Created(value) => Answer::<T, 201>::Value(value).into_response(),
            Self::Replaced(value) => Answer::<T>::Value(value).into_response(),
            Self::Refused(problem) => problem.into_response(),
        }
    }
}

impl<T: Type> ApiResponse for Written<T> {
    const BAD_REQUEST_HANDLER: bool = true;

    fn meta() -> MetaResponses {
        let mut meta = Answer::<T>::meta();
        meta.responses.extend(Answer::<T, 201>::meta().responses);
        meta
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn from_parse_request_error(error: poem::Error) -> Self {
        Self::Refused(refused(&error))
    }
}

/// Every operation can return a problem; `docs` lists which.
impl ApiResponse for Problem {
    fn meta() -> MetaResponses {
        MetaResponses { responses: Vec::new() }
    }

    fn register(_registry: &mut Registry) {}
}
