//! `/me`: who the caller is, for programs that have a key or a token and have to find out what it opens.

use std::sync::Arc;

use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use uuid::Uuid;

use super::Api;
use super::access::{AllowedForAll, Anybody};
use super::docs::Resource;
use super::payload::Answer;
use super::problem::Problem;
use super::text::Moment;
use crate::domain::grant::Grant;
use crate::domain::id::TenantId;

/// The resource.
pub(super) struct MeApi(pub(super) Arc<Api>);

/// Who the caller is.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct Me {
    /// `operator` for all tenants, `tenant` for one, `portal` for a session of one; without keys everybody is an
    /// `operator`.
    kind: &'static str,
    /// Its tenant; null for an operator.
    tenant_id: Option<Uuid>,
    /// Name of its tenant.
    tenant_name: Option<String>,
    /// External id of its tenant; null if it has none.
    tenant_external_id: Option<String>,
    /// Scope of its key; null for a portal session.
    scope: Option<&'static str>,
    /// What a portal session allows: `read`, `manage`; empty for a key.
    capabilities: Vec<&'static str>,
    /// When the key or session expires; null = never.
    expires_at: Option<Moment>,
    /// `off` if the server runs with `POSTRIDER_AUTH=off`: then nobody needs a key.
    auth: &'static str,
}

#[OpenApi(prefix_path = "/me", tag = "Resource::Keys")]
impl MeApi {
    /// Read who the caller is
    ///
    /// What a key or a portal session opens: whose it is, its scope or its capabilities, and when it expires.
    #[oai(path = "/", method = "get", operation_id = "read_me")]
    async fn read(&self, caller: AllowedForAll<Anybody>) -> Result<Answer<Me>, Problem> {
        let tenant = match caller.tenant {
            Some(id) => Some(self.0.tenants.get(id).await?.ok_or(Problem::Unauthenticated)?),
            None => None,
        };
        let (kind, scope, capabilities) = match caller.grant {
            Grant::Portal(capabilities) => ("portal", None, capabilities.words()),
            Grant::Key(scope) if tenant.is_some() => ("tenant", Some(scope.as_str()), Vec::new()),
            Grant::Key(scope) => ("operator", Some(scope.as_str()), Vec::new()),
        };
        Ok(Answer::Value(Me {
            kind,
            tenant_id: caller.tenant.map(TenantId::uuid),
            tenant_name: tenant.as_ref().map(|tenant| tenant.name.clone()),
            tenant_external_id: tenant.and_then(|tenant| tenant.external_id.as_ref().map(ToString::to_string)),
            scope,
            capabilities,
            expires_at: caller.expires_at.map(Moment),
            auth: if self.0.settings.auth_required { "on" } else { "off" },
        }))
    }
}
