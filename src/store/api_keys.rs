//! The table `api_keys`, and the tenants they make.

use ring::rand::{SecureRandom, SystemRandom};
use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{Store, StoreError, sql};
use crate::domain::api_key::{ApiKey, KeyHash, SECRET_BYTES, Scope};
use crate::domain::id::{ApiKeyId, TenantId};

/// What is known of a live key.
#[derive(Debug, Clone)]
pub struct KnownKey {
    /// Whose it is.
    pub tenant: TenantId,
    /// What it may do.
    pub scope: Scope,
    /// What its secret half hashes to.
    pub hash: KeyHash,
}

/// A key as it is listed.
#[derive(Debug, Clone)]
pub struct ApiKeyRow {
    /// Name of its tenant.
    pub tenant: String,
    /// Its public half.
    pub id: ApiKeyId,
    /// What it may do.
    pub scope: Scope,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it was used last, late by a minute at most; `None` for never.
    pub last_used_at: Option<OffsetDateTime>,
    /// When it ended; `None` while it lives.
    pub revoked_at: Option<OffsetDateTime>,
}

/// What came of revoking a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// It lived until now.
    Now,
    /// It was revoked then.
    Before(OffsetDateTime),
    /// There is no such key.
    Unknown,
}

impl Store {
    /// Makes a key, and its tenant where there is none of this name. The text is returned
    /// here and nowhere else.
    ///
    /// # Errors
    /// [`StoreError`] from the database; `Constraint` for a name that is empty or too long.
    pub async fn create_api_key(&self, tenant_name: &str, scope: Scope) -> Result<(ApiKeyId, String), StoreError> {
        let now = OffsetDateTime::now_utc();
        let mut secret = [0; SECRET_BYTES];
        SystemRandom::new().fill(&mut secret).expect("the system gives random bytes");
        let key = ApiKey::new(ApiKeyId::at(now), secret);
        let (tenant, id, hash) = (TenantId::at(now).uuid(), key.id().uuid(), key.hash());
        let params: [super::connection::Param<'_>; 5] = [
            (&tenant, Type::UUID),
            (&tenant_name, Type::TEXT),
            (&id, Type::UUID),
            (&scope.as_str(), Type::TEXT),
            (&hash.as_bytes(), Type::BYTEA),
        ];
        self.interactive().await?.query(&sql::CREATE_API_KEY, &params).await?;
        Ok((key.id(), key.reveal()))
    }

    /// A live key by its public half; `None` when it is unknown or revoked.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn find_api_key(&self, id: ApiKeyId) -> Result<Option<KnownKey>, StoreError> {
        let id = id.uuid();
        let rows = self.interactive().await?.query(&sql::FIND_API_KEY, &[(&id, Type::UUID)]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(KnownKey {
            tenant: row.try_get::<_, Uuid>("tenant_id")?.into(),
            scope: scope(row)?,
            hash: KeyHash::stored(row.try_get("secret_hash")?),
        }))
    }

    /// The keys of a tenant by its name, or all; oldest first, revoked ones too.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn list_api_keys(&self, tenant_name: Option<&str>) -> Result<Vec<ApiKeyRow>, StoreError> {
        let rows = self.interactive().await?.query(&sql::LIST_API_KEYS, &[(&tenant_name, Type::TEXT)]).await?;
        let listed = |row: &Row| {
            Ok(ApiKeyRow {
                tenant: row.try_get("tenant")?,
                id: row.try_get::<_, Uuid>("id")?.into(),
                scope: scope(row)?,
                created_at: row.try_get("created_at")?,
                last_used_at: row.try_get("last_used_at")?,
                revoked_at: row.try_get("revoked_at")?,
            })
        };
        rows.iter().map(listed).collect()
    }

    /// Ends a key for good, and says whether it had ended before.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn revoke_api_key(&self, id: ApiKeyId) -> Result<Revocation, StoreError> {
        let id = id.uuid();
        let rows = self.interactive().await?.query(&sql::REVOKE_API_KEY, &[(&id, Type::UUID)]).await?;
        let Some(row) = rows.first() else { return Ok(Revocation::Unknown) };
        let before: Option<OffsetDateTime> = row.try_get("revoked_before")?;
        Ok(before.map_or(Revocation::Now, Revocation::Before))
    }

    /// Remembers when keys were used last; an earlier time than is known changes nothing.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn touch_api_keys(&self, uses: &[(ApiKeyId, OffsetDateTime)]) -> Result<(), StoreError> {
        let (ids, times): (Vec<Uuid>, Vec<OffsetDateTime>) = uses.iter().map(|(id, at)| (id.uuid(), *at)).unzip();
        let params: [super::connection::Param<'_>; 2] = [(&ids, Type::UUID_ARRAY), (&times, Type::TIMESTAMPTZ_ARRAY)];
        self.interactive().await?.query(&sql::TOUCH_API_KEYS, &params).await?;
        Ok(())
    }
}

fn scope(row: &Row) -> Result<Scope, StoreError> {
    let word: &str = row.try_get("scope")?;
    word.parse().map_err(|_| StoreError::Unreadable("a scope that this version does not know".to_owned()))
}
