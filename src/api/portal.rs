//! `/portal-sessions`: links with which customers see to their own webhooks.

use std::sync::Arc;
use std::time::Duration;

use poem::Request;
use poem::http::header;
use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use uuid::Uuid;

use super::Api;
use super::access::{Admin, AllowedForAll};
use super::docs::Resource;
use super::form::{List, Whole, form};
use super::payload::{Answer, Document};
use super::problem::Problem;
use super::text::Moment;
use crate::domain::grant::Capability;
use crate::domain::id::{ApiKeyId, TenantId};
use crate::domain::origin::Origins;
use crate::domain::tenant::{DEFAULT_TENANT, TenantName};
use crate::store::{NewSession, Opening};

/// Seconds. A shorter session would end while its page loads.
const SHORTEST: u32 = 60;
/// Seconds: 30 days, the most that `POSTRIDER_PORTAL_MAX_AGE` allows.
const LONGEST: u32 = 2_592_000;
/// Of a session whose request says nothing.
const USUAL: Duration = Duration::from_secs(3_600);

#[derive(Debug, Clone)]
pub struct PortalSettings {
    /// Under which browsers reach the API, without a slash at the end; `None` for the host that a request names.
    pub public_url: Option<String>,
    /// Whose pages may embed the dashboard.
    pub origins: Origins,
    pub max_age: Duration,
    /// Live sessions of one tenant.
    pub max_sessions: u32,
}

/// The resource.
pub(super) struct PortalApi(pub(super) Arc<Api>);

form! {
    /// A new portal session.
    pub(super) struct PortalSessionForm {
        /// Id or external id of its tenant. An operator key has to name it; if left out, the tenant of the caller's key.
        tenant: Option<TenantName>,
        /// What it allows: `read` to look at subscriptions, events, deliveries, attempts and numbers, `manage` to change
        /// subscriptions and to send again. If left out, `read` alone.
        capabilities: Option<List<Capability, 1, 2>>,
        /// Seconds for which it is valid: at most `POSTRIDER_PORTAL_MAX_AGE`; if left out, 3600.
        expires_in: Option<Whole<SHORTEST, LONGEST>>,
    }
}

/// A portal session.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct PortalSession {
    /// Its id, with which `DELETE /keys/{key_id}` ends it.
    id: Uuid,
    /// For the customer's browser. The token is in the fragment, which browsers send to no server.
    url: String,
    /// Opens the same without the page, as `Authorization: Bearer`; only in this answer.
    token: String,
    /// Its tenant.
    tenant_id: Uuid,
    /// What it allows.
    capabilities: Vec<&'static str>,
    /// When it expires.
    expires_at: Moment,
}

#[OpenApi(prefix_path = "/portal-sessions", tag = "Resource::Portal")]
impl PortalApi {
    /// Open a portal session
    ///
    /// Makes a link with which a customer sees to the webhooks of one tenant, and nothing else, until it expires.
    /// `DELETE /keys/{key_id}` with its id, and the deletion of the tenant, end it on every replica within a second.
    #[oai(path = "/", method = "post", operation_id = "create_portal_session")]
    async fn create(
        &self,
        caller: AllowedForAll<Admin>,
        request: &Request,
        body: Document<PortalSessionForm>,
    ) -> Result<Answer<PortalSession, 201>, Problem> {
        let PortalSessionForm { tenant, capabilities, expires_in } = body.read(&self.0.settings.targets)?;
        let lifetime = self.lifetime(expires_in.map(|seconds| seconds.0))?;
        let tenant = match tenant {
            Some(name) => caller.tenant_named(&self.0.tenants, &name.to_string()).await?,
            None if caller.key.is_none() => DEFAULT_TENANT,
            None => caller.tenant.ok_or_else(|| {
                Problem::field("/tenant", "required", "an operator key has to name the tenant by its id or external id")
            })?,
        };
        let capabilities = capabilities.map_or_else(|| vec![Capability::Read], |list| list.0).into_iter().collect();
        let most = self.0.settings.portal.max_sessions;
        let wanted = NewSession { tenant, capabilities, lifetime, most };
        match self.0.store.open_portal_session(&wanted, caller.actor()).await? {
            Opening::Opened { id, token, expires_at } => Ok(Answer::Value(PortalSession {
                id: ApiKeyId::uuid(id),
                url: format!("{}/#token={token}", self.base(request)),
                token,
                tenant_id: TenantId::uuid(tenant),
                capabilities: capabilities.words(),
                expires_at: Moment(expires_at),
            })),
            Opening::NoTenant => Err(Problem::TenantNotFound),
            Opening::Full => Err(Problem::LimitReached("max_portal_sessions", most)),
        }
    }

    fn lifetime(&self, seconds: Option<u32>) -> Result<Duration, Problem> {
        let longest = self.0.settings.portal.max_age;
        let Some(seconds) = seconds else { return Ok(USUAL.min(longest)) };
        let lifetime = Duration::from_secs(seconds.into());
        if lifetime > longest {
            let rule = format!("must be from {SHORTEST} to {} (POSTRIDER_PORTAL_MAX_AGE)", longest.as_secs());
            return Err(Problem::field("/expires_in", "out_of_range", rule));
        }
        Ok(lifetime)
    }

    /// What the link begins with.
    fn base(&self, request: &Request) -> String {
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        match (&self.0.settings.portal.public_url, host) {
            (Some(url), _) => url.clone(),
            (None, Some(host)) => format!("http://{host}"),
            (None, None) => self.0.settings.public_url.clone(),
        }
    }
}
