//! Connections of their own, past a pooler: migrations, LISTEN, vacuum, retention.

use std::time::Duration;

use tokio_postgres::Client;

use super::server::{Opened, Server, Wire};
use super::session::Session;
use super::{Store, StoreConfig, StoreError};

#[derive(Clone)]
pub(super) struct Direct {
    server: Server,
    session: Session,
    /// Whether the operator named it: then a pooler there is in session mode.
    is_named: bool,
}

impl Direct {
    pub(super) fn new(config: &StoreConfig, server: &Server, session: Session) -> Result<Self, StoreError> {
        let named = config.direct_url.as_ref().map(|url| Server::new(url, &config.tls)).transpose()?;
        let is_named = named.is_some();
        Ok(Self { server: named.unwrap_or_else(|| server.clone()), session, is_named })
    }

    pub(super) fn limit(&self) -> Duration {
        self.server.limit()
    }

    pub(super) async fn open(&self) -> Result<(Client, Wire), StoreError> {
        let Opened { client, mut wire, has_options } = self.server.open(&self.session).await?;
        if !has_options && !self.is_named {
            return Err(StoreError::Pooler(
                "DATABASE_URL leads to a pooler that passes no connection options on: set DATABASE_DIRECT_URL to \
                 PostgreSQL itself, or to a pooler in session mode; migrations and LISTEN use it"
                    .to_owned(),
            ));
        }
        if !has_options {
            let text = self.session.set();
            let setting = client.batch_execute(&text);
            tokio::select! {
                set = setting => set?,
                ended = &mut wire => ended?,
            }
        }
        Ok((client, wire))
    }
}

impl Store {
    /// A connection past the pooler.
    pub(super) async fn direct_client(&self) -> Result<Client, StoreError> {
        let (client, wire) = self.direct.open().await?;
        tokio::spawn(wire);
        Ok(client)
    }
}
