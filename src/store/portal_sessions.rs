//! Portal sessions: rows of `api_keys` with capabilities instead of a scope. They are found and revoked as keys are.

use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::api_keys::random_secret;
use super::audit::changed_by;
use super::connection::Param;
use super::{Store, StoreError, sql};
use crate::domain::actor::Actor;
use crate::domain::api_key::ApiKey;
use crate::domain::grant::Capabilities;
use crate::domain::id::{ApiKeyId, TenantId};

#[derive(Debug, Clone)]
pub(crate) struct NewSession {
    pub(crate) tenant: TenantId,
    pub(crate) capabilities: Capabilities,
    pub(crate) lifetime: Duration,
    /// Live sessions that the tenant may have.
    pub(crate) most: u32,
}

/// What became of a new portal session.
#[derive(Debug, Clone)]
pub(crate) enum Opening {
    Opened {
        id: ApiKeyId,
        /// The whole token, shown here and nowhere else.
        token: String,
        expires_at: OffsetDateTime,
    },
    NoTenant,
    /// The tenant has as many live sessions as it may.
    Full,
}

impl Store {
    pub(crate) async fn open_portal_session(&self, wanted: &NewSession, actor: &Actor) -> Result<Opening, StoreError> {
        let token =
            ApiKey::of_portal(ApiKeyId::at(OffsetDateTime::now_utc(), Uuid::new_v4().into_bytes()), random_secret());
        let (tenant, id, hash) = (wanted.tenant.uuid(), token.id().uuid(), token.hash());
        let (seconds, most) = (wanted.lifetime.as_secs_f64(), i32::try_from(wanted.most).unwrap_or(i32::MAX));
        let params: [Param<'_>; 7] = [
            (&tenant, Type::UUID),
            (&id, Type::UUID),
            (&wanted.capabilities.words(), Type::TEXT_ARRAY),
            (&hash.as_bytes(), Type::BYTEA),
            (&seconds, Type::FLOAT8),
            (&most, Type::INT4),
            (&changed_by(actor), Type::TEXT),
        ];
        let rows = self.interactive().await?.query(&sql::OPEN_SESSION, &params).await?;
        let Some(row) = rows.first() else { return Ok(Opening::NoTenant) };
        let ends_at: Option<OffsetDateTime> = row.try_get("ends_at")?;
        Ok(ends_at.map_or(Opening::Full, |expires_at| Opening::Opened {
            id: token.id(),
            token: token.reveal(),
            expires_at,
        }))
    }

    /// Deletes up to `most` that have expired. Returns how many.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn forget_portal_sessions(&self, most: i64) -> Result<i64, StoreError> {
        let rows = self.maintenance().await?.query(&sql::FORGET_SESSIONS, &[(&most, Type::INT8)]).await?;
        Ok(rows.first().map(|row| row.try_get("forgotten")).transpose()?.unwrap_or(0))
    }
}
