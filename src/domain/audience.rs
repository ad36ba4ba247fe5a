//! Whom an event is for, as it was decided on copies of subscriptions. The accepting
//! statement has the last word.

use std::sync::Arc;

use super::id::{SubscriptionId, TenantId};
use super::subscription::Subscription;

/// Most subscriptions that one event may go to: all its deliveries are one statement.
pub const MAX_RECIPIENTS: usize = 10_000;

/// A subscription that gets an event.
#[derive(Debug, Clone)]
pub struct Recipient {
    /// Which one.
    pub id: SubscriptionId,
    /// The version of it that was looked at.
    pub version: i64,
    /// Whether it wants events with an ordering key one after the other.
    pub is_ordered: bool,
    /// All of it; `None` where its secret does not open here, so that a worker that has the
    /// key sends.
    pub subscription: Option<Arc<Subscription>>,
}

/// All who get an event.
#[derive(Debug, Clone)]
pub struct Audience {
    /// Who owns them and the event.
    pub tenant: TenantId,
    /// Those who get it; may be none where the event is for all who want it.
    pub recipients: Vec<Recipient>,
    /// For an event to all who want it, the version of the tenant's list they were chosen
    /// from; `None` for an event that is addressed.
    pub list_version: Option<i64>,
}

impl Audience {
    /// This subscription alone.
    pub fn one(subscription: &Arc<Subscription>) -> Self {
        let recipient = Recipient {
            id: subscription.id,
            version: subscription.version,
            is_ordered: subscription.policy.is_ordered,
            subscription: Some(Arc::clone(subscription)),
        };
        Self { tenant: subscription.tenant, recipients: vec![recipient], list_version: None }
    }
}
