//! One operation: checks key, scope and query names, then calls its handler.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use poem::endpoint::{BoxEndpoint, Endpoint};
use poem::http::StatusCode;
use poem::{IntoResponse as _, Request, Response};
use poem_openapi::OperationId;
use poem_openapi::registry::{MetaOperation, MetaParamIn, MetaSchemaRef};

use crate::api::access::{Access, Guard};
use crate::api::form::pointer_to;
use crate::api::parameter::QueryValues;
use crate::api::path;
use crate::api::places::HeldPlace;
use crate::api::problem::Problem;

pub(super) struct Operation {
    id: &'static str,
    /// `None` of a page: it is public, and links to it may carry anything behind `?`.
    access: Option<Access>,
    query: Vec<String>,
    /// Those of them that may be repeated.
    repeatable: Vec<String>,
    path_parameter: String,
    guard: Arc<Guard>,
    handler: BoxEndpoint<'static, Response>,
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
    pub(super) fn of(meta: MetaOperation, guard: Arc<Guard>, handler: BoxEndpoint<'static, Response>) -> Self {
        let or_signature = meta.security.len() > 1;
        let scheme = meta.security.first().and_then(|schemes| schemes.keys().next());
        let access = scheme.and_then(|scheme| Access::read(scheme, or_signature));
        let access = access.expect("every handler takes `Allowed`, `AllowedOrSigned` or `AllowedForAll`");
        let named = |place| {
            let parameters = meta.params.iter().filter(move |parameter| parameter.in_type == place);
            parameters.map(|parameter| parameter.name.clone())
        };
        Self {
            id: meta.operation_id.unwrap_or_default(),
            access: Some(access),
            query: named(MetaParamIn::Query).collect(),
            repeatable: meta
                .params
                .iter()
                .filter(|parameter| is_array(&parameter.schema))
                .map(|p| p.name.clone())
                .collect(),
            path_parameter: named(MetaParamIn::Path).collect(),
            guard,
            handler,
        }
    }

    /// A public page.
    pub(super) fn page(guard: Arc<Guard>, handler: BoxEndpoint<'static, Response>) -> Self {
        Self {
            id: "page",
            access: None,
            query: Vec::new(),
            repeatable: Vec::new(),
            path_parameter: String::new(),
            guard,
            handler,
        }
    }

    async fn answer(&self, mut request: Request) -> Result<Response, Problem> {
        let place = match self.access {
            Some(access) => self.guard.admit(&mut request, access).await?.map(HeldPlace::new),
            None => None,
        };
        if let Some(place) = &place {
            request.extensions_mut().insert(place.clone());
        }
        if self.access.is_some() {
            let query = self.read_query(request.uri().query().unwrap_or_default())?;
            request.extensions_mut().insert(QueryValues(query));
        }
        let response = self.handler.get_response(request).await;
        problem_of(response).map_err(|problem| self.named(problem))
    }

    /// An unknown name is refused, and a repeated one of a parameter with one value: it is misspelt or ambiguous.
    fn read_query(&self, query: &str) -> Result<Vec<(String, String)>, Problem> {
        path::check_query(query)?;
        let mut read: Vec<(String, String)> = Vec::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let refused = |code, detail| Problem::field(format!("/query{}", pointer_to(&name)), code, detail);
            if !self.query.iter().any(|known| **known == name) {
                return Err(refused("unknown_parameter", "is not a documented parameter"));
            }
            let may_repeat = self.repeatable.iter().any(|known| **known == name);
            if !may_repeat && read.iter().any(|(known, _)| *known == name) {
                return Err(refused("duplicate_parameter", "must stand only once"));
            }
            read.push((name.into_owned(), value.into_owned()));
        }
        Ok(read)
    }

    /// Adds the name of the path's parameter.
    fn named(&self, problem: Problem) -> Problem {
        let Problem::Invalid(mut errors) = problem else { return problem };
        for error in errors.iter_mut().filter(|error| error.pointer == "/path/") {
            error.pointer.push_str(&self.path_parameter);
        }
        Problem::Invalid(errors)
    }
}

fn is_array(schema: &MetaSchemaRef) -> bool {
    matches!(schema, MetaSchemaRef::Inline(schema) if schema.ty == "array")
}

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
