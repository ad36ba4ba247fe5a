//! A pooled connection and the only function that runs statements on it.

use std::time::Duration;

use deadpool_postgres::{Object, Pool};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::error::StoreError;

#[derive(Debug)]
pub(super) struct Query {
    pub(super) name: &'static str,
    pub(super) text: &'static str,
}

/// Explicit types, so that no statement depends on what the server infers.
pub(super) type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// A connection whose statement timed out is closed, not returned: dropping a future does not stop its statement.
pub struct Connection {
    object: Option<Object>,
    prepare: bool,
    limit: Duration,
}

impl Connection {
    /// The server's own limit for a statement is a little shorter than `limit`.
    pub(super) async fn checkout(pool: &Pool, prepare: bool, limit: Duration) -> Result<Self, StoreError> {
        let object = tokio::time::timeout(super::CHECKOUT_LIMIT, pool.get()).await;
        let object = object.map_err(|_| StoreError::Unavailable("no connection in time".to_owned()))??;
        Ok(Self { object: Some(object), prepare, limit })
    }

    /// Runs one statement in a transaction of its own.
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
                // The server did not apply its own, shorter limit, so the connection is broken.
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
