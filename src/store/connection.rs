//! One connection out of a pool, and the one way to run a statement on it.

use std::time::Duration;

use deadpool_postgres::{Object, Pool};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::error::StoreError;

/// A statement from `sql/queries/`: its name there and its text.
#[derive(Debug)]
pub(super) struct Query {
    /// `table/verb`, as the file is named.
    pub(super) name: &'static str,
    /// The file's text.
    pub(super) text: &'static str,
}

/// A parameter with its type, so that no statement depends on what the server infers.
pub(super) type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// A checked-out connection. One whose statement ran out of time is closed and not
/// returned: dropping a future does not stop a statement, and the next would wait behind it.
pub struct Connection {
    object: Option<Object>,
    prepare: bool,
    limit: Duration,
}

impl Connection {
    /// A connection whose statements the server ends after the time that this limit exceeds a little.
    pub(super) async fn checkout(pool: &Pool, prepare: bool, limit: Duration) -> Result<Self, StoreError> {
        let object = tokio::time::timeout(super::CHECKOUT_LIMIT, pool.get()).await;
        let object = object.map_err(|_| StoreError::Unavailable("no connection in time".to_owned()))??;
        Ok(Self { object: Some(object), prepare, limit })
    }

    /// Runs one statement, in a transaction of its own, and returns its rows.
    pub(super) async fn query(&mut self, query: &Query, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError> {
        let object =
            self.object.take().ok_or_else(|| StoreError::Unavailable("the connection was given up".to_owned()))?;
        let running = run(&object, query, params, self.prepare);
        match tokio::time::timeout(self.limit, running).await {
            Ok(rows) => {
                self.object = Some(object);
                Ok(rows?)
            }
            Err(_) => {
                // The server ends the statement by its own limit, which is shorter: here it is out of reach. Taken out
                // of the pool and closed.
                drop(Object::take(object));
                Err(StoreError::Unavailable(format!("{} did not answer in time", query.name)))
            }
        }
    }
}

async fn run(
    object: &Object,
    query: &Query,
    params: &[Param<'_>],
    prepare: bool,
) -> Result<Vec<Row>, tokio_postgres::Error> {
    if !prepare {
        return object.query_typed(query.text, params).await;
    }
    let types: Vec<Type> = params.iter().map(|(_, kind)| kind.clone()).collect();
    let statement = object.prepare_typed_cached(query.text, &types).await?;
    let values: Vec<&(dyn ToSql + Sync)> = params.iter().map(|(value, _)| *value).collect();
    object.query(&statement, &values).await
}
