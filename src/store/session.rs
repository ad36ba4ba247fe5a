//! The values that every session of postrider has, whatever role and database say.
//!
//! They are connection options. Behind a pooler that passes none on, each statement runs in a transaction that sets
//! them, because in transaction mode a session's own values would stay on a server connection that others use.

use std::fmt::Write as _;
use std::time::Duration;

use super::StoreError;

/// Commits reach the disk, every wait has a limit, and texts are read and written in one form.
const VALUES: &[(&str, &str)] = &[
    ("synchronous_commit", "on"),
    ("lock_timeout", "2000"),
    ("idle_session_timeout", "0"),
    ("default_transaction_deferrable", "off"),
    ("standard_conforming_strings", "on"),
    ("row_security", "on"),
    ("datestyle", "ISO"),
    ("intervalstyle", "postgres"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "1"),
    ("timezone", "UTC"),
    // Statements here are short: compiling one takes longer than running it.
    ("jit", "off"),
];

/// The queue's plans must not depend on statistics: each statement has one suitable index. Functions set the same.
const PINNED_PLANS: &[(&str, &str)] = &[
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_sort", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
];

/// A plan that was made while a day's partition was small may be used when it is large.
const INDEXED: &[(&str, &str)] = &[("enable_seqscan", "off")];

/// Behind a pooler a transaction waits for its statement and for its commit, which are sent together.
pub(super) const IDLE_LIMIT: Duration = Duration::from_secs(2);
/// Of connections past the pooler: between two steps of a migration.
const DIRECT_IDLE_LIMIT: Duration = Duration::from_secs(10);

/// Shows whether connection options arrived. It is no setting of PostgreSQL.
pub(super) const MARK: &str = "postrider.session";
const ISOLATION: &str = "default_transaction_isolation";

#[derive(Debug, Clone)]
pub(super) struct Session(Vec<(&'static str, String)>);

impl Session {
    pub(super) fn new(schema: &str) -> Self {
        let mut session = Self(Vec::new());
        session.extend(VALUES);
        session.0.push((ISOLATION, "read committed".to_owned()));
        session.0.push(("search_path", schema.to_owned()));
        session
    }

    pub(super) fn with_pinned_plans(mut self) -> Self {
        self.extend(PINNED_PLANS);
        self
    }

    pub(super) fn with_indexes(mut self) -> Self {
        self.extend(INDEXED);
        self
    }

    /// `None`: as long as it takes.
    pub(super) fn with_statement_limit(mut self, limit: Option<Duration>) -> Self {
        self.0.push(("statement_timeout", limit.unwrap_or_default().as_millis().to_string()));
        let idle = if limit.is_some() { IDLE_LIMIT } else { DIRECT_IDLE_LIMIT };
        self.0.push(("idle_in_transaction_session_timeout", idle.as_millis().to_string()));
        self
    }

    fn extend(&mut self, values: &[(&'static str, &str)]) {
        self.0.extend(values.iter().map(|(name, value)| (*name, (*value).to_owned())));
    }

    /// Later options override the URL's own.
    pub(super) fn options(&self, own: Option<&str>) -> String {
        let mut options = own.unwrap_or_default().to_owned();
        for (name, value) in self.0.iter().map(|(name, value)| (*name, value.as_str())).chain([(MARK, "1")]) {
            let value = value.replace('\\', "\\\\").replace(' ', "\\ ");
            let _infallible = write!(options, " -c {name}={value}");
        }
        options
    }

    /// Begins a transaction with these values.
    pub(super) fn begin(&self) -> String {
        let mut text = "begin isolation level read committed".to_owned();
        for (name, value) in self.0.iter().filter(|(name, _)| *name != ISOLATION) {
            let _infallible = write!(text, "; set local {name} = '{value}'");
        }
        text
    }

    /// Sets the values of a session that no other client shares.
    pub(super) fn set(&self) -> String {
        self.0.iter().map(|(name, value)| format!("set {name} = '{value}'; ")).collect()
    }
}

/// Whether a pooler refused the connection options. pgbouncer, and what descends from it, says "unsupported startup
/// parameter"; RDS Proxy "command-line options".
pub(super) fn are_options_refused(error: &tokio_postgres::Error) -> bool {
    let Some(message) = error.as_db_error().map(|db| db.message().to_lowercase()) else { return false };
    ["startup parameter", "startup option", "command-line option"].iter().any(|words| message.contains(words))
}

/// What to do where the login without our options is refused too.
pub(super) fn refused_parameter(error: StoreError) -> StoreError {
    match error {
        StoreError::Unexpected(error) if are_options_refused(&error) => StoreError::Pooler(format!(
            "the pooler refuses a parameter of the URL ({}): remove it, or add it to ignore_startup_parameters of \
             pgbouncer",
            super::error::in_words(&error)
        )),
        StoreError::Unavailable(said) if said.to_lowercase().contains("startup parameter") => {
            StoreError::Pooler(format!(
                "the pooler refuses a parameter of the URL ({said}): remove it, or add it to \
                     ignore_startup_parameters of pgbouncer"
            ))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_escape_spaces_and_follow_those_of_the_url() {
        let session = Session::new("hooks").with_statement_limit(Some(Duration::from_millis(1_200)));
        let options = session.options(Some("-c geqo=off"));
        assert!(options.starts_with("-c geqo=off -c synchronous_commit=on"), "{options}");
        assert!(options.contains(" -c default_transaction_isolation=read\\ committed"), "{options}");
        assert!(
            options.ends_with(
                " -c search_path=hooks -c statement_timeout=1200 -c idle_in_transaction_session_timeout=2000 -c \
                 postrider.session=1"
            ),
            "{options}"
        );
    }

    #[test]
    fn a_transaction_sets_what_options_would() {
        let begin = Session::new("hooks").with_pinned_plans().with_statement_limit(None).begin();
        for part in ["synchronous_commit = 'on'", "search_path = 'hooks'", "jit = 'off'", "statement_timeout = '0'"] {
            assert!(begin.contains(&format!("; set local {part}")), "{begin}");
        }
        assert!(!begin.contains(ISOLATION), "it would count only for the next transaction: {begin}");
    }
}
