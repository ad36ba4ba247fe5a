//! Why the benchmark ended: one sentence, with the causes behind it.

use std::error::Error;
use std::fmt;

/// What went wrong. It is printed once, by `main`.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    /// A sentence for whoever started the benchmark.
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Any error with its causes: what PostgreSQL said is a cause of "db error".
impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut sentence = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            sentence = format!("{sentence}: {error}");
            cause = error.source();
        }
        Self(sentence)
    }
}
