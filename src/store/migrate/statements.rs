//! Runs a migration statement by statement in one transaction.

use refinery_core::Migration;
use refinery_core::traits::r#async::{AsyncMigrate, AsyncQuery, AsyncTransaction};
use tokio_postgres::Client;
use tokio_postgres::error::Error;

pub(super) struct ByStatement<'a>(pub(super) &'a mut Client);

impl AsyncTransaction for ByStatement<'_> {
    type Error = Error;

    async fn execute<'a, T: Iterator<Item = &'a str> + Send + 'a>(&'a mut self, queries: T) -> Result<usize, Error> {
        let transaction = self.0.transaction().await?;
        let mut count = 0;
        for query in queries {
            for statement in split(query) {
                transaction.batch_execute(statement).await?;
            }
            count += 1;
        }
        transaction.commit().await?;
        Ok(count)
    }
}

impl AsyncQuery<Vec<Migration>> for ByStatement<'_> {
    async fn query<'a>(&'a mut self, query: &'a str) -> Result<Vec<Migration>, Error> {
        AsyncQuery::query(self.0, query).await
    }
}

impl AsyncMigrate for ByStatement<'_> {}

/// A statement ends with a semicolon at the end of a line, outside of `$$` bodies.
fn split(text: &str) -> Vec<&str> {
    let (mut statements, mut begins, mut at, mut in_body) = (Vec::new(), 0, 0, false);
    for line in text.split_inclusive('\n') {
        at += line.len();
        in_body ^= line.matches("$$").count() % 2 == 1;
        if !in_body && line.trim_end().ends_with(';') && !line.trim_start().starts_with("--") {
            statements.extend(text.get(begins..at));
            begins = at;
        }
    }
    let rest = text.get(begins..).unwrap_or_default();
    let is_statement = rest.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with("--"));
    statements.extend(is_statement.then_some(rest));
    statements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_not_torn_apart_and_comments_end_nothing() {
        let text = "-- One; really;\ncreate table a (\n    b text default ';'\n);\n\ncreate function f() returns int\n\
                    language plpgsql as $$\nbegin\n    return 1;\nend\n$$;\nselect 1";
        let statements = split(text);
        assert_eq!(statements.len(), 3, "{statements:?}");
        assert!(statements[0].starts_with("-- One") && statements[1].trim_start().starts_with("create function"));
        assert!(statements[1].trim_end().ends_with("$$;") && statements[2] == "select 1");
        assert!(split("-- nothing;\n").is_empty());
    }
}
