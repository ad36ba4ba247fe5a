//! Authentication: the bearer of a key, and the tenant that the request is about.

use poem::http::{HeaderMap, header};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::key_uses::KeyUses;
use super::problem::Problem;
use crate::domain::actor::{Actor, Who};
use crate::domain::api_key::{ApiKey, Scope};
use crate::domain::grant::Grant;
use crate::domain::id::{ApiKeyId, TenantId};
use crate::domain::tenant::{DEFAULT_TENANT, TenantName};
use crate::store::{Clock, KnownKey, Store};
use crate::tenants::Tenants;

pub(super) const TENANT_HEADER: &str = "Postrider-Tenant";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bearer {
    /// `None` for an operator, who sees all tenants.
    pub(super) tenant: Option<TenantId>,
    pub(super) grant: Grant,
    /// Of a key or a portal session; `None` if no key is required.
    pub(super) key: Option<ApiKeyId>,
    pub(super) expires_at: Option<OffsetDateTime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) tenant: TenantId,
    pub(super) bearer: Bearer,
}

impl Bearer {
    /// Used if no key is required.
    pub(super) const ANONYMOUS: Self =
        Self { tenant: None, grant: Grant::Key(Scope::Admin), key: None, expires_at: None };

    pub(super) fn actor(self, request_id: &str) -> Actor {
        let who = match self.key {
            None => Who::Anonymous,
            Some(id) if self.grant.is_portal() => Who::Portal(id),
            Some(id) => Who::Key(id),
        };
        Actor { who, request_id: Some(request_id.to_owned()) }
    }

    /// Finds the tenant in the header or in an item: an operator may name any, others only their own.
    pub(super) async fn tenant_named(self, tenants: &Tenants, name: &str) -> Result<TenantId, Problem> {
        // With a key of a tenant it is a name like any other, and nobody's.
        if name == "*" && self.tenant.is_none() {
            return Err(Problem::TenantRequired);
        }
        let name: TenantName = name.parse().map_err(|_| Problem::TenantNotFound)?;
        if let Some(own) = self.tenant
            && TenantName::Id(own) == name
        {
            return Ok(own);
        }
        let found = tenants.find(&name).await?.map(|tenant| tenant.id);
        found.filter(|id| self.tenant.is_none_or(|own| own == *id)).ok_or(Problem::TenantNotFound)
    }

    /// 400 if an operator's header is missing or repeated.
    pub(super) async fn tenant_of(self, tenants: &Tenants, headers: &HeaderMap) -> Result<TenantId, Problem> {
        let mut values = headers.get_all(TENANT_HEADER).iter();
        match (values.next(), values.next()) {
            (None, _) if self.key.is_none() => Ok(DEFAULT_TENANT),
            (None, _) => self.tenant.ok_or(Problem::TenantRequired),
            (Some(name), None) => {
                let name = name.to_str().map_err(|_| Problem::TenantNotFound)?;
                self.tenant_named(tenants, name).await
            }
            (Some(_), Some(_)) => Err(Problem::MalformedRequest("Postrider-Tenant must stand only once")),
        }
    }
}

impl Bearer {
    /// The tenant that a request is about, or `None` for all: with an operator key and no header, or `*` in it.
    ///
    /// # Errors
    /// As [`Self::tenant_of`].
    pub(super) async fn tenant_or_all(
        self,
        tenants: &Tenants,
        headers: &HeaderMap,
    ) -> Result<Option<TenantId>, Problem> {
        if headers.get(TENANT_HEADER).is_none() && self.tenant.is_none() {
            return Ok(None);
        }
        self.tenant_or_star(tenants, headers).await
    }

    /// The tenant that a request is about, or `None` for all: with an operator key and `*` in the header.
    ///
    /// # Errors
    /// As [`Self::tenant_of`].
    pub(super) async fn tenant_or_star(
        self,
        tenants: &Tenants,
        headers: &HeaderMap,
    ) -> Result<Option<TenantId>, Problem> {
        let is_all = headers.get(TENANT_HEADER).is_some_and(|name| name == "*");
        if is_all && self.tenant.is_none() && headers.get_all(TENANT_HEADER).iter().count() < 2 {
            return Ok(None);
        }
        self.tenant_of(tenants, headers).await.map(Some)
    }
}

/// Checks keys.
pub(super) struct Keys {
    store: Store,
    tenants: Tenants,
    uses: KeyUses,
    clock: Clock,
}

impl Keys {
    pub(super) fn new(store: Store, tenants: Tenants, clock: Clock) -> Self {
        Self { store, tenants, uses: KeyUses::default(), clock }
    }

    pub(super) fn tenants(&self) -> &Tenants {
        &self.tenants
    }

    /// In the background, until `shutdown`.
    pub(super) async fn write_uses(&self, shutdown: &CancellationToken) {
        self.uses.write(&self.store, shutdown).await;
    }

    /// `None` without a valid key. More than one `Authorization` is a problem.
    pub(super) async fn bearer(&self, headers: &HeaderMap) -> Result<Option<Bearer>, Problem> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return if headers.contains_key(header::AUTHORIZATION) {
                Err(Problem::MalformedRequest("Authorization must stand only once"))
            } else {
                Ok(None)
            };
        };
        let Some(key) = value.to_str().ok().and_then(token).and_then(|text| text.parse::<ApiKey>().ok()) else {
            return Ok(None);
        };
        let known = self.tenants.key(key.id()).await?;
        let known = known.filter(|known| known.hash.matches(&key.hash()));
        if known.is_some() {
            self.uses.note(key.id(), self.clock.now());
        }
        Ok(known.map(|KnownKey { id, tenant, grant, expires_at, .. }| Bearer {
            tenant,
            grant,
            key: Some(id),
            expires_at,
        }))
    }
}

/// Whether a request carries the token of a portal session, right or wrong: then it counts also where no key is required,
/// so that a developer sees a portal as its customer does.
pub(super) fn is_from_portal(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::AUTHORIZATION).iter();
    values.filter_map(|value| value.to_str().ok().and_then(token)).any(ApiKey::is_of_portal)
}

fn token(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
