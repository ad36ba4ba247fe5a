//! One operation as poem's router calls it: who may call, which query names it knows, and then
//! its handler.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use poem::endpoint::{BoxEndpoint, Endpoint};
use poem::http::StatusCode;
use poem::{IntoResponse as _, Request, Response};
use poem_openapi::__private::UrlQuery;
use poem_openapi::OperationId;
use poem_openapi::registry::{MetaOperation, MetaOperationParam, MetaParamIn, MetaSchema, MetaSchemaRef, Registry};
use serde_json::Value;

use crate::api::access::{Access, Guard};
use crate::api::problem::{INVALID_PARAMETER, Problem};
use crate::api::strict::pointer_to;

/// An operation with what its document says.
pub(super) struct Operation {
    id: &'static str,
    /// `None` where anybody may call it.
    access: Option<Access>,
    query: Vec<Parameter>,
    /// Name of the variable part of its path.
    path_parameter: String,
    guard: Arc<Guard>,
    handler: BoxEndpoint<'static, Response>,
}

/// A query parameter.
struct Parameter {
    name: String,
    /// What its value must be, where the document says it.
    rule: Option<String>,
}

impl Endpoint for Operation {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let answering = AssertUnwindSafe(self.answer(request)).catch_unwind();
        let answered = answering.await.unwrap_or_else(|_| {
            tracing::error!("a request panicked");
            Err(Problem::Internal)
        });
        let mut response = answered.unwrap_or_else(Problem::into_response);
        response.set_data(OperationId(self.id));
        Ok(response)
    }
}

impl Operation {
    /// An operation of the document. What it asks of its callers and what it may be asked is
    /// read from its declaration.
    pub(super) fn of(
        meta: MetaOperation,
        registry: &Registry,
        guard: Arc<Guard>,
        handler: BoxEndpoint<'static, Response>,
    ) -> Self {
        let or_signature = meta.security.len() > 1;
        let scheme = meta.security.first().and_then(|schemes| schemes.keys().next());
        let access = scheme.and_then(|scheme| Access::read(scheme, or_signature));
        let access = access.expect("every handler takes `Allowed`, `AllowedOrSigned` or `AllowedForAll`");
        let named = |place| meta.params.iter().filter(move |parameter| parameter.in_type == place);
        Self {
            id: meta.operation_id.unwrap_or_default(),
            access: Some(access),
            query: named(MetaParamIn::Query).map(|parameter| Parameter::of(parameter, registry)).collect(),
            path_parameter: named(MetaParamIn::Path).map(|parameter| parameter.name.clone()).collect(),
            guard,
            handler,
        }
    }

    /// A page that anybody may read.
    pub(super) fn page(guard: Arc<Guard>, handler: BoxEndpoint<'static, Response>) -> Self {
        Self { id: "page", access: None, query: Vec::new(), path_parameter: String::new(), guard, handler }
    }

    async fn answer(&self, mut request: Request) -> Result<Response, Problem> {
        if let Some(access) = self.access {
            self.guard.admit(&mut request, access).await?;
        }
        let query = self.read_query(request.uri().query().unwrap_or_default())?;
        request.extensions_mut().insert(UrlQuery(query));
        let response = self.handler.get_response(request).await;
        problem_of(response).map_err(|problem| self.explain(problem))
    }

    /// Reads a query. A name that is unknown or stands twice is refused: it would be a misspelt
    /// or an ambiguous question.
    fn read_query(&self, query: &str) -> Result<Vec<(String, String)>, Problem> {
        let mut read: Vec<(String, String)> = Vec::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let refused = |code, detail| Problem::field(format!("/query{}", pointer_to(&name)), code, detail);
            if !self.query.iter().any(|known| known.name == name) {
                return Err(refused("unknown_parameter", "is not a documented parameter"));
            }
            if read.iter().any(|(known, _)| *known == name) {
                return Err(refused("duplicate_parameter", "must stand only once"));
            }
            read.push((name.into_owned(), value.into_owned()));
        }
        Ok(read)
    }

    /// A problem with a parameter, with what it must be.
    fn explain(&self, problem: Problem) -> Problem {
        let mut errors = match problem {
            Problem::InvalidId => return Problem::invalid_id(&self.path_parameter),
            Problem::Invalid(errors) => errors,
            other => return other,
        };
        for error in errors.iter_mut().filter(|error| error.code == INVALID_PARAMETER) {
            let known = self.query.iter().find(|known| error.pointer.strip_prefix("/query/") == Some(&known.name));
            if let Some(rule) = known.and_then(|known| known.rule.as_ref()) {
                error.detail.clone_from(rule);
            }
        }
        Problem::Invalid(errors)
    }
}

/// The problem in what the framework answered, where it is one.
pub(super) fn problem_of(mut response: Response) -> Result<Response, Problem> {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        return Err(problem);
    }
    match response.status() {
        StatusCode::NOT_FOUND => Err(Problem::RouteNotFound),
        status if status.is_server_error() => {
            tracing::error!(%status, "the framework failed");
            Err(Problem::Internal)
        }
        status if status.is_client_error() => Err(Problem::MalformedRequest("the request cannot be read")),
        _ => Ok(response),
    }
}

impl Parameter {
    fn of(parameter: &MetaOperationParam, registry: &Registry) -> Self {
        let schema = match &parameter.schema {
            MetaSchemaRef::Inline(schema) => Some(&**schema),
            MetaSchemaRef::Reference(name) => registry.schemas.get(name),
        };
        Self { name: parameter.name.clone(), rule: schema.and_then(rule_of) }
    }
}

/// What a schema asks, as a sentence.
fn rule_of(schema: &MetaSchema) -> Option<String> {
    if !schema.enum_items.is_empty() {
        let words: Vec<&str> = schema.enum_items.iter().filter_map(Value::as_str).collect();
        return Some(format!("must be {}", words.join(" or ")));
    }
    match schema.format {
        Some("date-time") => Some("must be an RFC 3339 time, as in 2026-11-23T18:00:00Z".to_owned()),
        Some("uuid") => Some("must be a UUID in its hyphenated form".to_owned()),
        _ => Some(format!("must be a whole number from {} to {}", schema.minimum?, schema.maximum?)),
    }
}
