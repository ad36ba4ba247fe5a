//! The table `api_keys` without its portal sessions, and the tenants that a new key creates.

use ring::rand::{SecureRandom, SystemRandom};
use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::audit::changed_by;
use super::connection::Param;
use super::{Store, StoreError, sql};
use crate::domain::actor::Actor;
use crate::domain::api_key::{ApiKey, KeyHash, SECRET_BYTES, Scope};
use crate::domain::grant::{Capability, Grant};
use crate::domain::id::{ApiKeyId, TenantId};

#[derive(Debug, Clone)]
pub struct KnownKey {
    pub id: ApiKeyId,
    /// Whose it is; `None` for an operator key.
    pub tenant: Option<TenantId>,
    pub grant: Grant,
    pub hash: KeyHash,
    pub expires_at: Option<OffsetDateTime>,
}

#[derive(Debug, Clone)]
pub struct NewKey<'a> {
    /// Id or external id of its tenant; `None` for an operator key.
    pub tenant: Option<&'a str>,
    pub name: Option<&'a str>,
    pub scope: Scope,
    pub expires_at: Option<OffsetDateTime>,
}

impl<'a> NewKey<'a> {
    pub fn of(tenant: &'a str, scope: Scope) -> Self {
        Self { tenant: Some(tenant), name: None, scope, expires_at: None }
    }
}

#[derive(Debug, Clone)]
pub struct MadeKey {
    /// Its public half.
    pub id: ApiKeyId,
    /// The whole key, shown here and nowhere else.
    pub text: String,
    pub tenant: Option<TenantId>,
    /// When it was made.
    pub created_at: OffsetDateTime,
}

#[derive(Debug, Clone)]
pub struct ApiKeyRow {
    /// Its public half.
    pub id: ApiKeyId,
    pub tenant: Option<TenantId>,
    /// The tenant's external id, or its name where it has none.
    pub tenant_title: Option<String>,
    pub name: Option<String>,
    pub scope: Scope,
    pub created_at: OffsetDateTime,
    pub expires_at: Option<OffsetDateTime>,
    /// When it was used last, late by a minute at most; `None` for never.
    pub last_used_at: Option<OffsetDateTime>,
    pub revoked_at: Option<OffsetDateTime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    Now,
    Before(OffsetDateTime),
    /// There is no such key.
    Unknown,
}

impl Store {
    /// Creates a key, and its tenant if the external id is new. `None` if there is no tenant with this id.
    pub async fn create_api_key(&self, wanted: &NewKey<'_>, actor: &Actor) -> Result<Option<MadeKey>, StoreError> {
        let now = OffsetDateTime::now_utc();
        let key = ApiKey::new(ApiKeyId::at(now, Uuid::new_v4().into_bytes()), random_secret());
        let (tenant, id, hash) = (TenantId::at(now, Uuid::new_v4().into_bytes()).uuid(), key.id().uuid(), key.hash());
        let params: [Param<'_>; 8] = [
            (&tenant, Type::UUID),
            (&wanted.tenant, Type::TEXT),
            (&id, Type::UUID),
            (&wanted.name, Type::TEXT),
            (&wanted.scope.as_str(), Type::TEXT),
            (&hash.as_bytes(), Type::BYTEA),
            (&wanted.expires_at, Type::TIMESTAMPTZ),
            (&changed_by(actor), Type::TEXT),
        ];
        let rows = self.interactive().await?.query(&sql::CREATE_API_KEY, &params).await?;
        let row = rows.first().ok_or_else(|| StoreError::Unreadable("no key was returned".to_owned()))?;
        if !row.try_get::<_, bool>("is_made")? {
            return Ok(None);
        }
        let tenant = row.try_get::<_, Option<Uuid>>("owner")?.map(TenantId::from);
        let created_at = row.try_get("created_at")?;
        Ok(Some(MadeKey { id: key.id(), text: key.reveal(), tenant, created_at }))
    }

    /// The live ones of these keys: known, not revoked, not expired, of a living tenant.
    pub async fn find_api_keys(&self, ids: &[ApiKeyId]) -> Result<Vec<KnownKey>, StoreError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
        let rows = self.lookup().await?.query(&sql::FIND_API_KEYS, &[(&ids, Type::UUID_ARRAY)]).await?;
        let known = |row: &Row| {
            Ok(KnownKey {
                id: row.try_get::<_, Uuid>("id")?.into(),
                tenant: row.try_get::<_, Option<Uuid>>("tenant_id")?.map(TenantId::from),
                grant: grant(row)?,
                hash: KeyHash::stored(row.try_get("secret_hash")?),
                expires_at: row.try_get("expires_at")?,
            })
        };
        rows.iter().map(known).collect()
    }

    /// Newest first, with ids below `before`; includes revoked and expired keys.
    pub async fn list_api_keys(
        &self,
        tenant: Option<TenantId>,
        before: Option<ApiKeyId>,
        limit: i64,
    ) -> Result<Vec<ApiKeyRow>, StoreError> {
        let (tenant, before) = (tenant.map(TenantId::uuid), before.map(ApiKeyId::uuid));
        let params: [Param<'_>; 3] = [(&tenant, Type::UUID), (&before, Type::UUID), (&limit, Type::INT8)];
        let rows = self.interactive().await?.query(&sql::LIST_API_KEYS, &params).await?;
        let listed = |row: &Row| {
            let external_id: Option<String> = row.try_get("tenant_external_id")?;
            Ok(ApiKeyRow {
                id: row.try_get::<_, Uuid>("id")?.into(),
                tenant: row.try_get::<_, Option<Uuid>>("tenant_id")?.map(TenantId::from),
                tenant_title: external_id.or(row.try_get("tenant_name")?),
                name: row.try_get("name")?,
                scope: scope(row)?,
                created_at: row.try_get("created_at")?,
                expires_at: row.try_get("expires_at")?,
                last_used_at: row.try_get("last_used_at")?,
                revoked_at: row.try_get("revoked_at")?,
            })
        };
        rows.iter().map(listed).collect()
    }

    /// `tenant`: revokes only a key of this tenant.
    pub async fn revoke_api_key(
        &self,
        id: ApiKeyId,
        tenant: Option<TenantId>,
        actor: &Actor,
    ) -> Result<Revocation, StoreError> {
        let (id, tenant, actor) = (id.uuid(), tenant.map(TenantId::uuid), changed_by(actor));
        let params: [Param<'_>; 3] = [(&id, Type::UUID), (&tenant, Type::UUID), (&actor, Type::TEXT)];
        let rows = self.interactive().await?.query(&sql::REVOKE_API_KEY, &params).await?;
        let Some(row) = rows.first() else { return Ok(Revocation::Unknown) };
        let before: Option<OffsetDateTime> = row.try_get("revoked_before")?;
        Ok(before.map_or(Revocation::Now, Revocation::Before))
    }

    /// Stores when keys were last used; never moves a time back.
    pub async fn touch_api_keys(&self, uses: &[(ApiKeyId, OffsetDateTime)]) -> Result<(), StoreError> {
        let (ids, times): (Vec<Uuid>, Vec<OffsetDateTime>) = uses.iter().map(|(id, at)| (id.uuid(), *at)).unzip();
        let params: [Param<'_>; 2] = [(&ids, Type::UUID_ARRAY), (&times, Type::TIMESTAMPTZ_ARRAY)];
        self.interactive().await?.query(&sql::TOUCH_API_KEYS, &params).await?;
        Ok(())
    }
}

pub(super) fn random_secret() -> [u8; SECRET_BYTES] {
    let mut secret = [0; SECRET_BYTES];
    SystemRandom::new().fill(&mut secret).expect("the system gives random bytes");
    secret
}

fn grant(row: &Row) -> Result<Grant, StoreError> {
    let Some(words) = row.try_get::<_, Option<Vec<String>>>("capabilities")? else { return scope(row).map(Grant::Key) };
    // One that another version knows grants nothing here.
    Ok(Grant::Portal(words.iter().filter_map(|word| word.parse::<Capability>().ok()).collect()))
}

fn scope(row: &Row) -> Result<Scope, StoreError> {
    let word: &str = row.try_get("scope")?;
    word.parse().map_err(|_| StoreError::Unreadable("a scope that this version does not know".to_owned()))
}
