//! The recipients of an event, chosen from copies of subscriptions. The accepting statement checks them.

use std::sync::Arc;

use super::id::{SubscriptionId, TenantId};
use super::subscription::Subscription;

/// One statement writes all deliveries of an event.
pub const MAX_RECIPIENTS: usize = 10_000;

#[derive(Debug, Clone)]
pub struct Recipient {
    pub id: SubscriptionId,
    pub version: i64,
    pub is_active: bool,
    /// Whether it delivers events with an ordering key in order.
    pub is_ordered: bool,
    /// `None` where no copy of this version is at hand.
    pub subscription: Option<Arc<Subscription>>,
}

#[derive(Debug, Clone)]
pub struct Audience {
    pub tenant: TenantId,
    /// May be empty for an event to all interested subscriptions.
    pub recipients: Vec<Recipient>,
    /// Version of the tenant's list they were chosen from; `None` for an event to one subscription.
    pub list_version: Option<i64>,
}

impl Audience {
    pub fn one(subscription: &Arc<Subscription>) -> Self {
        let recipient = Recipient {
            id: subscription.id,
            version: subscription.version,
            is_active: subscription.is_active,
            is_ordered: subscription.policy.is_ordered,
            subscription: Some(Arc::clone(subscription)),
        };
        Self { tenant: subscription.tenant, recipients: vec![recipient], list_version: None }
    }
}
