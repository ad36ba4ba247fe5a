//! Why a request to a server came to nothing, as a person reads it, and the status with which the command ends.

use std::fmt;

use hyper::StatusCode;
use hyper::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;

use super::printable::printable;
use crate::commands::{Failure, USAGE};

/// The server refused the request.
pub(super) const REFUSED: u8 = 1;
/// No answer, or one that may be another the next time.
pub(super) const TRY_AGAIN: u8 = 3;
/// The object that was asked for.
const NOT_FOUND: u8 = 4;
/// Of an answer that is no problem document, as of a proxy.
const SHOWN_CHARACTERS: usize = 200;
/// Of a server that is older than this program.
const NO_SUCH_ROUTE: [&str; 2] = ["route_not_found", "method_not_allowed"];

#[derive(Debug, thiserror::Error)]
pub(in crate::commands) enum RemoteError {
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Unreachable(String),
    /// Something answered, but nothing that a postrider answers.
    #[error("{0}")]
    NotPostrider(String),
    #[error("{0}")]
    Refused(Box<Refusal>),
}

/// A problem document, or what stands in its place.
#[derive(Debug)]
pub(in crate::commands) struct Refusal {
    status: StatusCode,
    retry_after: Option<String>,
    problem: Problem,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Problem {
    #[serde(default)]
    code: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    request_id: String,
    #[serde(default)]
    errors: Vec<FieldError>,
}

#[derive(Debug, Deserialize)]
struct FieldError {
    pointer: String,
    code: String,
    detail: String,
}

impl RemoteError {
    pub(in crate::commands) fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::Unreachable(_) | Self::NotPostrider(_) => TRY_AGAIN,
            Self::Refused(refusal) if refusal.problem.code.is_empty() => TRY_AGAIN,
            Self::Refused(refusal) if refusal.is_of_an_older_server() => REFUSED,
            Self::Refused(refusal) => code_of(refusal.status),
        }
    }

    /// Whether the same request may succeed later.
    pub(in crate::commands) fn is_temporary(&self) -> bool {
        self.code() == TRY_AGAIN
    }
}

/// The status of a command whose request was answered so.
fn code_of(status: StatusCode) -> u8 {
    match status {
        StatusCode::NOT_FOUND => NOT_FOUND,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => TRY_AGAIN,
        status if status.is_client_error() => REFUSED,
        _ => TRY_AGAIN,
    }
}

/// Whether the same request may succeed later.
pub(super) fn is_temporary(status: StatusCode) -> bool {
    code_of(status) == TRY_AGAIN
}

impl From<RemoteError> for Failure {
    fn from(error: RemoteError) -> Self {
        Self::WithCode { code: error.code(), sentence: error.to_string() }
    }
}

impl Refusal {
    pub(super) fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let retry_after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let problem = serde_json::from_slice(body).unwrap_or_else(|_| {
            let start: String = String::from_utf8_lossy(body).chars().take(SHOWN_CHARACTERS).collect();
            Problem {
                title: "not a problem of postrider".to_owned(),
                detail: start.trim().to_owned(),
                ..Problem::default()
            }
        });
        Self { status, retry_after, problem }
    }

    fn is_of_an_older_server(&self) -> bool {
        NO_SUCH_ROUTE.contains(&self.problem.code.as_str())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status.as_u16(), self.problem)?;
        if let Some(seconds) = &self.retry_after {
            write!(f, "\n  retry after {} s", printable(seconds))?;
        }
        if self.status == StatusCode::UNAUTHORIZED {
            write!(f, "\n  a key goes into POSTRIDER_KEY, POSTRIDER_KEY_FILE or --key-file")?;
        }
        if self.is_of_an_older_server() {
            write!(f, "\n  this server may be older than this program, or POSTRIDER_SERVER may lack a path")?;
        }
        if self.problem.code == "tenant_required" {
            write!(f, "\n  name one with --tenant or POSTRIDER_TENANT")?;
        }
        Ok(())
    }
}

/// Code and sentence, then a line for each field with its rule, then the request's id.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let says = if self.detail.is_empty() { &self.title } else { &self.detail };
        match self.code.as_str() {
            "" => write!(f, "{}: {}", printable(&self.title), printable(&self.detail))?,
            code => write!(f, "{}: {}", printable(code), printable(says))?,
        }
        for error in &self.errors {
            let (pointer, detail, code) = (printable(&error.pointer), printable(&error.detail), printable(&error.code));
            write!(f, "\n  {pointer}: {detail} ({code})")?;
        }
        if !self.request_id.is_empty() {
            write!(f, "\n  request {}", printable(&self.request_id))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &str) -> (u8, String) {
        let status = StatusCode::from_u16(status).unwrap();
        let error = RemoteError::Refused(Box::new(Refusal::read(status, &HeaderMap::new(), body.as_bytes())));
        (error.code(), error.to_string())
    }

    #[test]
    fn a_problem_names_each_field_with_its_rule_and_the_request() {
        let body = r#"{"title": "t", "status": 422, "detail": "one field is wrong", "code": "validation_failed",
            "request_id": "r1", "errors": [{"pointer": "/query/status", "code": "not_a_choice", "detail": "must be \u001b[2Ja"}]}"#;
        let (code, said) = refused(422, body);
        assert_eq!(code, 1);
        assert_eq!(
            said,
            "422 validation_failed: one field is wrong\n  /query/status: must be \\u{1b}[2Ja (not_a_choice)\n  request r1"
        );
    }

    #[test]
    fn the_status_of_the_command_says_whether_to_try_again() {
        let problem = r#"{"code": "x"}"#;
        let codes = [400, 401, 403, 404, 408, 409, 422, 429, 500, 503].map(|status| refused(status, problem).0);
        assert_eq!(codes, [1, 1, 1, 4, 3, 1, 1, 3, 3, 3]);
        assert_eq!(refused(404, r#"{"code": "route_not_found"}"#).0, 1, "an id was not looked for");
        assert_eq!(refused(404, "<html>").0, 3, "no postrider answered");
    }

    #[test]
    fn the_answer_of_a_proxy_is_shown_in_short() {
        let page = format!("<html>\x1b]0;x\x07{}", "y".repeat(1_000));
        let (code, said) = refused(502, &page);
        assert_eq!(code, 3);
        assert!(said.starts_with("502 not a problem of postrider: <html>\\u{1b}]0;x"), "{said}");
        assert!(said.len() < 300, "{said}");
    }
}
