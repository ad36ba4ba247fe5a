//! The table of paths, read from the OpenAPI document at start.

use std::sync::Arc;

use serde_json::Value;

use super::{INVALID_PARAMETER, Method, Problem, Request, Scope, Uri, docs};
use crate::api::strict::pointer_to;

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Anybody.
    Public,
    /// Whoever has a key of this scope.
    Key(Scope),
    /// The same, and whoever signs for the subscription.
    KeyOrSignature(Scope),
}

/// One method of a path.
#[derive(Debug)]
pub(super) struct Operation {
    method: Method,
    /// Its name in the document; of a page, `page`.
    pub(super) id: String,
    /// Who may ask.
    pub(super) access: Access,
    /// The statuses of its answers that an alarm or a rate may ask for before there is one:
    /// success, and 503.
    pub(super) usual: Vec<String>,
    query: Vec<Parameter>,
}

/// A query parameter.
#[derive(Debug)]
struct Parameter {
    name: String,
    /// What its value must be, where the document says it.
    rule: Option<String>,
}

/// One path with its methods.
#[derive(Debug)]
pub(super) struct Matched {
    segments: Vec<Segment>,
    ends_with_slash: bool,
    operations: Vec<Operation>,
    /// Name of the variable part.
    pub(super) parameter: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Segment {
    Fixed(String),
    Variable,
}

/// All paths; those without variable parts first.
#[derive(Debug)]
pub(super) struct Table(Vec<Arc<Matched>>);

impl Table {
    /// The table of a document and of the pages that show it.
    pub(super) fn of(document: &str) -> Self {
        let document: Value = serde_json::from_str(document).unwrap_or_default();
        let documented = document.get("paths").and_then(Value::as_object).into_iter().flatten();
        let mut paths: Vec<Matched> =
            documented.map(|(path, operations)| Matched::of(path, operations, &document)).collect();
        paths.extend(docs::PAGES.map(Matched::page));
        paths.sort_by_key(|path| path.parameter.is_some());
        Self(paths.into_iter().map(Arc::new).collect())
    }

    /// The path that matches, with or without a slash at its end.
    pub(super) fn find(&self, path: &str) -> Option<&Arc<Matched>> {
        self.0.iter().find(|known| known.matches(path))
    }

    /// Every operation.
    pub(super) fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.0.iter().flat_map(|path| &path.operations)
    }
}

/// A path's parts, without the slash at its end.
fn parts(path: &str) -> impl Iterator<Item = &str> {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.strip_suffix('/').unwrap_or(path).split('/')
}

impl Matched {
    fn of(path: &str, operations: &Value, document: &Value) -> Self {
        let variable = |part: &str| part.strip_prefix('{').and_then(|name| name.strip_suffix('}')).map(str::to_owned);
        let methods = operations.as_object().into_iter().flatten();
        Self {
            segments: parts(path)
                .map(|part| variable(part).map_or_else(|| Segment::Fixed(part.to_owned()), |_| Segment::Variable))
                .collect(),
            ends_with_slash: path.ends_with('/'),
            operations: methods
                .filter_map(|(method, operation)| Operation::of(path, method, operation, document))
                .collect(),
            parameter: parts(path).find_map(variable),
        }
    }

    fn page(path: &str) -> Self {
        let operation = Operation {
            method: Method::GET,
            id: "page".to_owned(),
            access: Access::Public,
            usual: Vec::new(),
            query: Vec::new(),
        };
        Self { operations: vec![operation], ..Self::of(path, &Value::Null, &Value::Null) }
    }

    fn matches(&self, path: &str) -> bool {
        let mut parts = parts(path);
        let fits = |segment: &Segment| match (segment, parts.next()) {
            (Segment::Fixed(fixed), Some(part)) => fixed == part,
            (Segment::Variable, Some(part)) => !part.is_empty(),
            (_, None) => false,
        };
        self.segments.iter().all(fits) && parts.next().is_none()
    }

    /// Whether the variable part could be an id at all: ids need no percent-encoding, and
    /// decoding it is where two parsers differ.
    pub(super) fn knows(&self, path: &str) -> bool {
        !path.contains('%')
    }

    /// The operation of a method; HEAD is that of GET.
    pub(super) fn operation(&self, method: &Method) -> Result<&Operation, Problem> {
        let asked = if *method == Method::HEAD { &Method::GET } else { method };
        self.operations.iter().find(|operation| operation.method == *asked).ok_or_else(|| {
            let mut allowed: Vec<&str> = self.operations.iter().map(|operation| operation.method.as_str()).collect();
            if allowed.contains(&"GET") {
                allowed.push("HEAD");
            }
            Problem::MethodNotAllowed(allowed.join(", "))
        })
    }

    /// Gives the path the form that the router knows.
    pub(super) fn rewrite(&self, request: &mut Request) {
        let uri = request.uri();
        let path = uri.path();
        if path.ends_with('/') == self.ends_with_slash || path == "/" {
            return;
        }
        let bare = path.strip_suffix('/').unwrap_or(path);
        let slash = if self.ends_with_slash { "/" } else { "" };
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        if let Ok(rewritten) = format!("{bare}{slash}{query}").parse::<Uri>() {
            *request.uri_mut() = rewritten;
        }
    }
}

impl Operation {
    fn of(path: &str, method: &str, operation: &Value, document: &Value) -> Option<Self> {
        let method: Method = method.to_ascii_uppercase().parse().ok()?;
        let parameters = operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
        let in_query = parameters.filter(|parameter| parameter.get("in").and_then(Value::as_str) == Some("query"));
        let query = in_query.filter_map(|parameter| Parameter::of(parameter, document));
        let statuses = operation.get("responses").and_then(Value::as_object).into_iter().flat_map(|all| all.keys());
        let usual = statuses.filter(|status| status.starts_with('2') || *status == "503").cloned();
        let access = match method {
            Method::GET => Access::Key(Scope::Read),
            _ if path.starts_with("/ingest/") => Access::KeyOrSignature(Scope::Publish),
            _ if path.starts_with("/events") => Access::Key(Scope::Publish),
            _ => Access::Key(Scope::Admin),
        };
        let id = operation.get("operationId").and_then(Value::as_str).unwrap_or_default().to_owned();
        Some(Self { query: query.collect(), usual: usual.collect(), method, id, access })
    }

    /// Refuses parameters that are unknown or stand twice, which would be misspelt or
    /// ambiguous questions.
    pub(super) fn check_query(&self, query: &str) -> Result<(), Problem> {
        let mut seen: Vec<&String> = Vec::new();
        for (name, _) in url::form_urlencoded::parse(query.as_bytes()) {
            let Some(known) = self.query.iter().map(|known| &known.name).find(|known| **known == name) else {
                return Err(Problem::field(
                    format!("/query{}", pointer_to(&name)),
                    "unknown_parameter",
                    "is not a documented parameter",
                ));
            };
            if seen.contains(&known) {
                return Err(Problem::field(format!("/query/{known}"), "duplicate_parameter", "must stand only once"));
            }
            seen.push(known);
        }
        Ok(())
    }

    /// A problem with query values, with what each of them must be.
    pub(super) fn explain(&self, problem: Problem) -> Problem {
        let Problem::Invalid(mut errors) = problem else { return problem };
        for error in errors.iter_mut().filter(|error| error.code == INVALID_PARAMETER) {
            let known = self.query.iter().find(|known| error.pointer.strip_prefix("/query/") == Some(&known.name));
            if let Some(rule) = known.and_then(|known| known.rule.as_ref()) {
                error.detail.clone_from(rule);
            }
        }
        Problem::Invalid(errors)
    }
}

impl Parameter {
    fn of(parameter: &Value, document: &Value) -> Option<Self> {
        let name = parameter.get("name")?.as_str()?.to_owned();
        let schema = parameter.get("schema")?;
        let referred = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#'));
        let schema = referred.and_then(|path| document.pointer(path)).unwrap_or(schema);
        Some(Self { name, rule: rule_of(schema) })
    }
}

/// What a schema asks, as a sentence.
fn rule_of(schema: &Value) -> Option<String> {
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        return Some(format!("must be {}", words.join(" or ")));
    }
    if schema.get("format").and_then(Value::as_str) == Some("date-time") {
        return Some("must be an RFC 3339 time, as in 2026-11-23T18:00:00Z".to_owned());
    }
    if schema.get("format").and_then(Value::as_str) == Some("uuid") {
        return Some("must be a UUID in its hyphenated form".to_owned());
    }
    let limit = |name| schema.get(name).and_then(Value::as_f64);
    Some(format!("must be a whole number from {} to {}", limit("minimum")?, limit("maximum")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table::of(&docs::openapi_document())
    }

    #[test]
    fn a_slash_at_the_end_is_optional_and_two_are_not() {
        let table = table();
        for path in ["/subscriptions", "/subscriptions/", "/ingest/x/", "/status/logs/x", "/docs/", "/"] {
            assert!(table.find(path).is_some(), "{path}");
        }
        for path in ["/ingest/", "/ingest//", "/subscriptions/x/y", "/status/logs/x//", "", "/nothing/x"] {
            assert!(table.find(path).is_none_or(|found| found.segments.len() == 1), "{path}");
        }
    }

    #[test]
    fn a_fixed_path_wins_over_a_variable_one() {
        let table = table();
        let found = table.find("/subscriptions/generate-signature").unwrap();
        assert_eq!(found.operation(&Method::GET).unwrap_err(), Problem::MethodNotAllowed("POST".to_owned()));
    }

    #[test]
    fn the_query_is_what_the_document_says() {
        let table = table();
        let logs = table.find("/status/logs/x").unwrap().operation(&Method::GET).unwrap();
        assert_eq!(logs.check_query("days=7&limit=1"), Ok(()));
        assert!(logs.check_query("days=7&days=8").is_err());
        assert!(logs.check_query("dayz=7").is_err());
    }

    #[test]
    fn a_bad_value_is_told_the_limits_of_the_document() {
        let table = table();
        let logs = table.find("/status/logs/x").unwrap().operation(&Method::GET).unwrap();
        let rule = |name: &str| match logs.explain(Problem::field(format!("/query/{name}"), INVALID_PARAMETER, "")) {
            Problem::Invalid(errors) => errors[0].detail.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(rule("days"), "must be a whole number from 1 to 365");
        assert_eq!(rule("limit"), "must be a whole number from 1 to 100");
        assert_eq!(rule("status"), "must be succeeded or failed");
        assert_eq!(rule("include"), "must be payload");
        assert!(rule("since").contains("RFC 3339") && rule("until").contains("RFC 3339"));
    }
}
