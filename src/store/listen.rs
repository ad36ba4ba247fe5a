//! LISTEN and NOTIFY: hints that rows are due. Nothing depends on one arriving.

use futures_util::future::poll_fn;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, Socket};

use super::{Store, StoreError, sql, tls};

/// The channel on which due rows are announced.
pub const DUE_CHANNEL: &str = "postrider_due";

impl Store {
    /// Announces that rows are due. Callers keep this rare: a commit with a notification
    /// takes a lock that all of them share.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn notify_due(&self) -> Result<(), StoreError> {
        self.desk().await?.query(&sql::NOTIFY, &[]).await.map(drop)
    }

    /// Calls `on_notice` for each announcement until the connection ends, and once when
    /// listening begins: what was announced before it is lost.
    ///
    /// # Errors
    /// [`StoreError`] when the connection cannot be made or ends.
    pub async fn listen_due(&self, on_notice: impl Fn() + Send + Sync) -> Result<(), StoreError> {
        if self.direct.get_ssl_mode() == tokio_postgres::config::SslMode::Require {
            self.listen_through(tls::connector(), on_notice).await
        } else {
            self.listen_through(tokio_postgres::NoTls, on_notice).await
        }
    }

    async fn listen_through<T>(&self, tls: T, on_notice: impl Fn() + Send + Sync) -> Result<(), StoreError>
    where
        T: MakeTlsConnect<Socket> + Send,
        T::Stream: Send + 'static,
    {
        let (client, mut connection) = self.direct.connect(tls).await?;
        let subscribing = async {
            client.batch_execute(&format!("listen {DUE_CHANNEL}")).await?;
            on_notice();
            // The client must live as long as the connection is polled.
            std::future::pending::<Result<(), tokio_postgres::Error>>().await
        };
        let receiving = async {
            while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notification(_) = message? {
                    on_notice();
                }
            }
            Ok::<(), tokio_postgres::Error>(())
        };
        tokio::select! {
            ended = subscribing => ended?,
            ended = receiving => ended?,
        }
        Ok(())
    }
}
