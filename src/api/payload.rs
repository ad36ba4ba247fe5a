//! Bodies as poem-openapi sees them: documented by a type, read and written as bytes.
//!
//! The framework's own JSON payload reads without a limit, accepts duplicate fields and
//! rebuilds every document as a tree; a signature holds only over the bytes as they came.

use std::marker::PhantomData;

use bytes::Bytes;
use poem::http::StatusCode;
use poem::{Body, IntoResponse, Request, RequestBody, Response};
use poem_openapi::error::{ParseParamError, ParsePathError};
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaResponse, MetaResponses, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseFromJSON, ParseResult, ToJSON, Type};
use poem_openapi::{ApiExtractor, ApiExtractorType, ApiResponse, ExtractParamOptions};
use serde::Serialize;

use super::body;
use super::problem::{INVALID_PARAMETER, Problem};

const JSON: &str = "application/json";
/// Most bytes of a body that changes settings.
pub(super) const CONTROL_LIMIT: usize = 64 * 1_024;

/// A JSON body of at most `LIMIT` bytes, documented as `T` and not parsed yet.
pub(super) struct Document<T, const LIMIT: usize = CONTROL_LIMIT> {
    /// The bytes as they came.
    pub(super) bytes: Bytes,
    documented_as: PhantomData<fn() -> T>,
}

/// The same, where no body at all counts as an object without fields.
pub(super) struct OptionalDocument<T> {
    /// The bytes as they came, or `{}`.
    pub(super) bytes: Bytes,
    documented_as: PhantomData<fn() -> T>,
}

/// A body that nobody has begun to read, documented as `T`.
pub(super) struct Unread<T> {
    /// The body.
    pub(super) body: Body,
    documented_as: PhantomData<fn() -> T>,
}

/// The answer of an operation that went well, or what its parameters made of it.
pub(super) enum Answer<T, const STATUS: u16 = 200> {
    /// It went well.
    Value(T),
    /// A parameter or the body was refused before the operation began.
    Refused(Problem),
}

fn documented<T: Type>() -> MetaMediaType {
    MetaMediaType { content_type: JSON, schema: T::schema_ref() }
}

fn request_meta<T: Type>() -> MetaRequest {
    MetaRequest { description: None, content: vec![documented::<T>()], required: true }
}

impl<'a, T: Type, const LIMIT: usize> ApiExtractor<'a> for Document<T, LIMIT> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(request_meta::<T>())
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        body::check_json(request.headers())?;
        let bytes = body::read(request, body.take()?, LIMIT).await?;
        Ok(Self { bytes, documented_as: PhantomData })
    }
}

impl<'a, T: Type> ApiExtractor<'a> for OptionalDocument<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(MetaRequest { required: false, ..request_meta::<T>() })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let mut bytes = body::read(request, body.take()?, CONTROL_LIMIT).await?;
        if bytes.is_empty() {
            bytes = Bytes::from_static(b"{}");
        } else {
            body::check_json(request.headers())?;
        }
        Ok(Self { bytes, documented_as: PhantomData })
    }
}

impl<'a, T: Type> ApiExtractor<'a> for Unread<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(request_meta::<T>())
    }

    async fn from_request(
        _request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(Self { body: body.take()?, documented_as: PhantomData })
    }
}

impl<T: Type + Serialize + Send, const STATUS: u16> IntoResponse for Answer<T, STATUS> {
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
                content: vec![documented::<T>()],
                headers: vec![],
            }],
        }
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    /// The framework's own words name its inner variables, so they are replaced.
    fn from_parse_request_error(error: poem::Error) -> Self {
        Self::Refused(problem_of(&error))
    }
}

fn problem_of(error: &poem::Error) -> Problem {
    if let Some(problem) = error.data::<Problem>() {
        return problem.clone();
    }
    if error.downcast_ref::<ParsePathError>().is_some() {
        return Problem::InvalidId;
    }
    if let Some(ParseParamError { name, .. }) = error.downcast_ref() {
        let rule = "must have the documented form and lie within the documented limits";
        return Problem::field(format!("/query/{name}"), INVALID_PARAMETER, rule);
    }
    Problem::MalformedRequest("the request cannot be read")
}

/// A problem is an answer of every operation; `docs` lists which, so none are named here.
impl ApiResponse for Problem {
    fn meta() -> MetaResponses {
        MetaResponses { responses: Vec::new() }
    }

    fn register(_registry: &mut Registry) {}
}

/// Any JSON object or array, where only the bytes count.
#[derive(Debug)]
pub(super) struct AnyDocument;

impl Type for AnyDocument {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> std::borrow::Cow<'static, str> {
        "payload".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        use poem_openapi::registry::MetaSchema;
        let shape = |kind: &'static str| MetaSchemaRef::Inline(Box::new(MetaSchema::new(kind)));
        let mut array = MetaSchema::new("array");
        array.items = Some(Box::new(MetaSchemaRef::Inline(Box::new(MetaSchema::ANY))));
        let mut either = MetaSchema::ANY;
        either.description = Some("A JSON object or array; its bytes are kept and sent exactly as they came.");
        either.any_of = vec![shape("object"), MetaSchemaRef::Inline(Box::new(array))];
        MetaSchemaRef::Inline(Box::new(either))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

/// The framework asks it of a field of a request; nobody reads one with it.
impl ParseFromJSON for AnyDocument {
    fn parse_from_json(_value: Option<serde_json::Value>) -> ParseResult<Self> {
        Ok(Self)
    }
}

impl ToJSON for AnyDocument {
    fn to_json(&self) -> Option<serde_json::Value> {
        None
    }
}
