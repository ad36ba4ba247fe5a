//! Rotation: a new secret becomes current, and the old one stays valid for the overlap.

use super::write::CHANGE_TRIES;
use super::{Subscriptions, random};
use crate::domain::actor::Actor;
use crate::domain::id::{SubscriptionId, TenantId};
use crate::domain::keyring::{SALT_BYTES, SealContext};
use crate::domain::rotation::{MAX_OLDER, Overlap};
use crate::domain::secret::Secret;
use crate::store::{Rotation, SealedSecrets, StoreError, StoredSubscription};

#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    #[error("the secret is the current one already")]
    Same,
    #[error("{MAX_OLDER} older secrets are live already")]
    TooMany,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Subscriptions {
    /// `None` if there is no such subscription. On an error nothing was changed.
    pub async fn rotate(
        &self,
        tenant: TenantId,
        id: SubscriptionId,
        secret: &Secret,
        overlap: Overlap,
        actor: &Actor,
    ) -> Result<Option<StoredSubscription>, RotateError> {
        let context = SealContext { tenant, subscription: id };
        for _ in 0..CHANGE_TRIES {
            let Some(current) = self.look_up(tenant, id).await? else { return Ok(None) };
            // If the current secret cannot be opened, it counts as different, so that a rotation can replace it.
            if self.keyring.open(&current.secrets.current, context).is_ok_and(|current| current.is_same(secret)) {
                return Err(RotateError::Same);
            }
            let sealed = self.keyring.seal(secret, context, random::<SALT_BYTES>());
            match self.store.rotate_secret(&current, &sealed, overlap, actor).await? {
                Rotation::Done { written, older } => {
                    self.forget_in_redis(id).await;
                    let row = StoredSubscription { secrets: SealedSecrets { current: sealed, older }, ..current };
                    return Ok(Some(self.written(row, written)));
                }
                Rotation::TooMany => return Err(RotateError::TooMany),
                Rotation::Outrun => {}
            }
        }
        Err(StoreError::Unavailable("the subscription is being written by others".to_owned()).into())
    }
}
