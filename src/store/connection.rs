//! A pooled connection and the only function that runs statements on it.

use std::future::Future;
use std::time::Duration;

use deadpool::managed::{Object, PoolError, TimeoutType};
use futures_util::future::join3;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::error::{StoreError, is_read_only};
use super::pool::{Epoch, Opener, Pool, Pooled};

#[derive(Debug)]
pub(super) struct Query {
    pub(super) name: &'static str,
    pub(super) text: &'static str,
}

/// Explicit types, so that no statement depends on what the server infers.
pub(super) type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// What every checkout needs.
#[derive(Debug, Clone)]
pub(super) struct Access {
    pub(super) prepare: bool,
    pub(super) checkout_limit: Duration,
    pub(super) epoch: Epoch,
}

/// A connection whose statement timed out is closed, not returned: dropping a future does not stop its statement.
pub struct Connection {
    object: Option<Object<Opener>>,
    prepare: bool,
    limit: Duration,
    epoch: Epoch,
}

impl Connection {
    /// The server's own limit for a statement is a little shorter than `limit`.
    pub(super) async fn checkout(pool: &Pool, access: &Access, limit: Duration) -> Result<Self, StoreError> {
        let deadline = Instant::now() + access.checkout_limit;
        loop {
            match timeout_at(deadline, pool.get()).await {
                Ok(Ok(object)) => {
                    let (prepare, epoch) = (access.prepare, access.epoch.clone());
                    return Ok(Self { object: Some(object), prepare, limit, epoch });
                }
                // It goes on opening in the background; meanwhile another may have become free.
                Ok(Err(PoolError::Timeout(TimeoutType::Create))) => {}
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => return Err(StoreError::Unavailable("no connection in time".to_owned())),
            }
        }
    }

    /// Runs one statement in a transaction of its own.
    pub(super) async fn query(&mut self, query: &Query, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError> {
        let object =
            self.object.take().ok_or_else(|| StoreError::Unavailable("the connection was given up".to_owned()))?;
        let running = run(&object, query, params, self.prepare);
        match tokio::time::timeout(self.limit, running).await {
            Ok(Err(error)) if is_read_only(&error) => {
                self.give_up(object);
                Err(error.into())
            }
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

    /// Fails, and gives the connection up, if the server only reads now.
    pub(super) async fn check_writable(&mut self) -> Result<(), StoreError> {
        let rows = self.query(&super::sql::PING, &[]).await?;
        let is_read_only = rows.first().map(|row| row.try_get("is_read_only")).transpose()?.unwrap_or(false);
        if is_read_only && let Some(object) = self.object.take() {
            self.give_up(object);
            return Err(StoreError::read_only("transaction_read_only is on"));
        }
        Ok(())
    }

    /// Another server may write by now, so all connections that are as old are given up with this one.
    fn give_up(&self, object: Object<Opener>) {
        let pooled = Object::take(object);
        self.epoch.end(pooled.epoch);
    }
}

async fn run(
    pooled: &Pooled,
    query: &Query,
    params: &[Param<'_>],
    prepare: bool,
) -> Result<Vec<Row>, tokio_postgres::Error> {
    if !prepare {
        return framed(pooled, pooled.client.query_typed(query.text, params)).await;
    }
    let types: Vec<Type> = params.iter().map(|(_, kind)| kind.clone()).collect();
    let statement = pooled.client.prepare_typed_cached(query.text, &types).await?;
    let values: Vec<&(dyn ToSql + Sync)> = params.iter().map(|(value, _)| *value).collect();
    framed(pooled, pooled.client.query(&statement, &values)).await
}

/// Behind a pooler that drops the session's values, a transaction sets them. `join3` polls in order, so the three
/// messages travel together: no extra round trip.
async fn framed(
    pooled: &Pooled,
    running: impl Future<Output = Result<Vec<Row>, tokio_postgres::Error>>,
) -> Result<Vec<Row>, tokio_postgres::Error> {
    let Some(begin) = &pooled.begin else { return running.await };
    let (begin, commit) = (pooled.client.batch_execute(begin), pooled.client.batch_execute("commit"));
    let (begun, rows, committed) = join3(begin, running, commit).await;
    begun?;
    let rows = rows?;
    committed?;
    Ok(rows)
}
