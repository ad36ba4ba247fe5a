//! Errors of the database, sorted by what a caller does about them.

use std::error::Error;

use deadpool::managed::PoolError;
use tokio_postgres::error::SqlState;

/// An error of the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// An invalid URL. It may contain a password, so it is not shown.
    #[error("the database URL {0}")]
    Url(String),
    /// A pooler refuses or drops what the session needs.
    #[error("{0}")]
    Pooler(String),
    /// Down, busy, full, or too slow: retry later.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// Deadlock or concurrent change: retry at once.
    #[error("the database ended a deadlock, or a row was changed meanwhile")]
    Deadlock,
    /// No partition for this time: create it, then retry.
    #[error("a partition is missing")]
    NoPartition,
    #[error("the constraint {0} is broken")]
    Constraint(String),
    #[error("the database has no schema yet, or an old one ({0}); run: postrider migrate")]
    NoSchema(String),
    /// A wrong statement, or an unexpected result.
    #[error("the database answered with an error: {}", in_words(.0))]
    Unexpected(#[source] tokio_postgres::Error),
    #[error("a stored row cannot be read: {0}")]
    Unreadable(String),
}

impl StoreError {
    /// Whether a later retry may succeed by itself.
    pub(crate) fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Deadlock)
    }
}

impl StoreError {
    pub(super) fn read_only(why: &str) -> Self {
        Self::Unavailable(format!("the server only reads: {why}"))
    }

    /// Says which host it was.
    pub(super) fn at(self, place: &str) -> Self {
        match self {
            Self::Unavailable(said) => Self::Unavailable(format!("{place}: {said}")),
            other => other,
        }
    }

    /// Of all hosts or addresses; one that a retry may overcome makes all of them so.
    pub(super) fn all_of(failures: Vec<Self>) -> Self {
        let mut said: Vec<String> = Vec::new();
        let mut lasting = None;
        for failure in failures {
            match failure {
                Self::Unavailable(one) if said.contains(&one) => {}
                Self::Unavailable(one) => said.push(one),
                other => lasting = Some(other),
            }
        }
        match lasting {
            Some(lasting) if said.is_empty() => lasting,
            Some(lasting) => Self::Unavailable(format!("{}; {lasting}", said.join("; "))),
            None if said.is_empty() => Self::Unavailable("the name has no address".to_owned()),
            None => Self::Unavailable(said.join("; ")),
        }
    }
}

/// Whether the server only reads now.
pub(super) fn is_read_only(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(db) = error.as_db_error() else {
            // Without SQLSTATE, the connection failed or a value did not convert.
            let converting = error.source().is_some_and(|source| !source.is::<std::io::Error>());
            return if error.is_closed() || !converting {
                Self::Unavailable(in_words(&error))
            } else {
                Self::Unexpected(error)
            };
        };
        let code = db.code();
        if [SqlState::T_R_DEADLOCK_DETECTED, SqlState::T_R_SERIALIZATION_FAILURE].contains(code) {
            return Self::Deadlock;
        }
        if *code == SqlState::CHECK_VIOLATION && db.constraint().is_none() {
            return Self::NoPartition;
        }
        if let (true, Some(constraint)) = (code.code().starts_with("23"), db.constraint()) {
            return Self::Constraint(constraint.to_owned());
        }
        if [SqlState::UNDEFINED_TABLE, SqlState::UNDEFINED_COLUMN, SqlState::UNDEFINED_FUNCTION].contains(code) {
            return Self::NoSchema(db.message().to_owned());
        }
        // 08 connection, 25006 a server that only reads, 40 rollback, 53 resources, 55P03 lock timeout, 57 operator
        // intervention, 58 system.
        let passing = ["08", "25006", "40", "53", "55P03", "57", "58"];
        if passing.iter().any(|class| code.code().starts_with(class)) {
            return Self::Unavailable(in_words(&error));
        }
        Self::Unexpected(error)
    }
}

impl From<PoolError<StoreError>> for StoreError {
    fn from(error: PoolError<StoreError>) -> Self {
        match error {
            PoolError::Backend(Self::Unexpected(error)) => Self::Unavailable(in_words(&error)),
            PoolError::Backend(error) => error,
            PoolError::Timeout(_) => Self::Unavailable("no connection in time".to_owned()),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// PostgreSQL's message with its SQLSTATE. Details are dropped, because they contain values of rows.
pub(super) fn in_words(error: &tokio_postgres::Error) -> String {
    if let Some(db) = error.as_db_error() {
        return format!("{} ({})", db.message(), db.code().code());
    }
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |said, cause| format!("{said}: {cause}"))
}
