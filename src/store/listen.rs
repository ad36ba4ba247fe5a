//! NOTIFY and LISTEN. A lost notification only costs time.

use futures_util::future::poll_fn;
use time::OffsetDateTime;
use tokio_postgres::AsyncMessage;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{Store, StoreError, sql};
use crate::domain::id::{SubscriptionId, TenantId};

pub const DUE_CHANNEL: &str = "postrider_due";
/// Written by `publish` in the database.
const OUTBOX_CHANNEL: &str = "postrider_outbox";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// Unleased deliveries are due, the first at this time.
    DueSince(OffsetDateTime),
    /// The deliveries of this subscription may be sent again.
    Released(TenantId, SubscriptionId),
    /// Notifications may have been lost.
    Anything,
}

impl Notice {
    fn text(self) -> String {
        match self {
            Self::DueSince(since) => format!("due {}", since.unix_timestamp_nanos() / 1_000),
            Self::Released(tenant, subscription) => format!("released {tenant} {subscription}"),
            Self::Anything => String::new(),
        }
    }

    /// An unreadable payload, from another version, means that anything may be due.
    fn read(text: &str) -> Self {
        let words: Vec<&str> = text.split(' ').collect();
        let notice = match words.as_slice() {
            ["due", micros] => micros.parse::<i128>().ok().and_then(|micros| {
                OffsetDateTime::from_unix_timestamp_nanos(micros.checked_mul(1_000)?).ok().map(Self::DueSince)
            }),
            ["released", tenant, subscription] => tenant
                .parse::<Uuid>()
                .ok()
                .zip(subscription.parse::<Uuid>().ok())
                .map(|(tenant, subscription)| Self::Released(tenant.into(), subscription.into())),
            _ => None,
        };
        notice.unwrap_or(Self::Anything)
    }
}

impl Store {
    /// Call it rarely: commits with a notification take a global lock.
    pub async fn notify(&self, notice: Notice) -> Result<(), StoreError> {
        let text = notice.text();
        self.lookup().await?.query(&sql::NOTIFY, &[(&text, Type::TEXT)]).await.map(drop)
    }

    pub(crate) async fn notify_due(&self) -> Result<(), StoreError> {
        /// The writing statement may have begun this long ago.
        const STATEMENT: time::Duration = time::Duration::seconds(2);
        self.notify(Notice::DueSince(self.clock.now() - STATEMENT)).await
    }

    /// The first call is [`Notice::Anything`], because earlier notifications are lost. Ends when the server turns out
    /// to only read: a server that replaced it notifies somewhere else.
    pub async fn listen_due(&self, on_notice: impl Fn(Notice) + Send + Sync) -> Result<(), StoreError> {
        self.listen(DUE_CHANNEL, |text| on_notice(Notice::read(text))).await
    }

    /// Calls `on_notice` when a transaction that published from SQL has committed. As [`Self::listen_due`].
    pub(crate) async fn listen_outbox(&self, on_notice: impl Fn() + Send + Sync) -> Result<(), StoreError> {
        self.listen(OUTBOX_CHANNEL, |_| on_notice()).await
    }

    async fn listen(&self, channel: &str, on_text: impl Fn(&str) + Send + Sync) -> Result<(), StoreError> {
        let ended = self.access.epoch.ended();
        let (client, mut connection) = self.direct.open().await?;
        let subscribing = async {
            client.batch_execute(&format!("listen {channel}")).await?;
            on_text("");
            // The client must live as long as the connection is polled.
            std::future::pending::<Result<(), tokio_postgres::Error>>().await
        };
        let receiving = async {
            while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notification(notification) = message? {
                    on_text(notification.payload());
                }
            }
            Ok::<(), tokio_postgres::Error>(())
        };
        tokio::select! {
            ended = subscribing => ended?,
            ended = receiving => ended?,
            () = ended => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_notice_is_read_as_it_was_written() {
        let released = Notice::Released(Uuid::from_u128(1).into(), Uuid::from_u128(2).into());
        let due = Notice::DueSince(datetime!(2026-11-28 12:00:00.123456 UTC));
        for notice in [due, released, Notice::Anything] {
            assert_eq!(Notice::read(&notice.text()), notice);
        }
        for text in ["due", "due x", "released 1 2", "later"] {
            assert_eq!(Notice::read(text), Notice::Anything, "{text}");
        }
    }
}
