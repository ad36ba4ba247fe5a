//! Rotation: a new secret becomes current, and the old one stays valid for the overlap.

use super::write::CHANGE_TRIES;
use super::{Subscriptions, random};
use crate::domain::actor::Actor;
use crate::domain::id::{SubscriptionId, TenantId};
use crate::domain::keyring::{SALT_BYTES, SealContext};
use crate::domain::rotation::{MAX_OLDER, Overlap};
use crate::domain::secret::Secret;
use crate::store::{Rotation, SealedSecrets, StoreError, StoredSubscription};

/// Why a secret was not rotated.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// The given secret is already the current one.
    #[error("the secret is the current one already")]
    Same,
    /// Too many older secrets are still valid.
    #[error("{MAX_OLDER} older secrets are live already")]
    TooMany,
    /// Database error, or too many concurrent writes.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Subscriptions {
    /// Makes this secret current; `None` if there is no such subscription.
    /// # Errors
    /// [`RotateError`]; then nothing was changed.
    pub async fn rotate(
        &self,
        tenant: TenantId,
        id: SubscriptionId,
        secret: &Secret,
        overlap: Overlap,
        actor: &Actor,
    ) -> Result<Option<StoredSubscription>, RotateError> {
        let place = SealContext { tenant, subscription: id };
        for _ in 0..CHANGE_TRIES {
            let Some(current) = self.look_up(tenant, id).await? else { return Ok(None) };
            // If the current secret cannot be opened, it counts as different, so that a rotation can replace it.
            if self.keyring.open(&current.secrets.current, place).is_ok_and(|current| current.is_same(secret)) {
                return Err(RotateError::Same);
            }
            let sealed = self.keyring.seal(secret, place, random::<SALT_BYTES>());
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
