//! Checks key, scope and tenant of a request before it is parsed.

use poem::Request;

use super::{About, Access, TenantOrAll};
use crate::api::auth::{Bearer, Caller, Keys, TENANT_HEADER, is_from_portal};
use crate::api::ingest::{has_signature, may_be_signed};
use crate::api::places::{Place, Places};
use crate::api::problem::Problem;
use crate::api::refusals::Note;
use crate::domain::api_key::Scope;
use crate::domain::grant::Need;

pub(in crate::api) struct Guard {
    auth_required: bool,
    keys: Keys,
    places: Places,
}

impl Guard {
    pub(in crate::api) fn new(auth_required: bool, keys: Keys, places: Places) -> Self {
        Self { auth_required, keys, places }
    }

    pub(in crate::api) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Puts the bearer, and the caller of a tenant's operation, into the request for the handler. What publishes takes
    /// no place.
    pub(in crate::api) async fn admit(&self, request: &mut Request, access: Access) -> Result<Option<Place>, Problem> {
        self.identify(request, access).await?;
        let extensions = request.extensions();
        let tenant = extensions.get::<Caller>().map(|caller| caller.tenant);
        let chosen = extensions.get::<TenantOrAll>().and_then(|chosen| chosen.0);
        if let (Some(note), Some(bearer)) = (extensions.get::<Note>(), extensions.get::<Bearer>()) {
            note.caller(*bearer, tenant.or(chosen));
        }
        if matches!(access.need, Need::Either(Scope::Publish, None)) {
            return Ok(None);
        }
        let own = extensions.get::<Bearer>().and_then(|bearer| bearer.tenant);
        self.places.take(tenant.or(chosen).or(own)).await.map(Some)
    }

    async fn identify(&self, request: &mut Request, access: Access) -> Result<(), Problem> {
        let counts_keys = self.auth_required || is_from_portal(request.headers());
        let bearer = if counts_keys { self.keys.bearer(request.headers()).await? } else { Some(Bearer::ANONYMOUS) };
        // The handler verifies the signature, even if there is a key.
        let is_signed = access.or_signature && has_signature(request.headers());
        let bearer = match bearer {
            Some(bearer) if bearer.grant.meets(access.need) => bearer,
            _ if is_signed => return Ok(()),
            Some(_) => return Err(Problem::ScopeMissing),
            // Only the subscription knows the header of a signature that it describes.
            None if access.or_signature && may_be_signed(request.headers()) => return Ok(()),
            None => return Err(Problem::Unauthenticated),
        };
        if access.about == About::Any {
            let tenant = bearer.tenant_or_all(self.keys.tenants(), request.headers()).await?;
            request.extensions_mut().insert(TenantOrAll(tenant));
        }
        if access.about == About::Named {
            let tenant = bearer.tenant_or_star(self.keys.tenants(), request.headers()).await?;
            request.extensions_mut().insert(TenantOrAll(tenant));
        }
        if access.about == About::Each {
            let is_named = request.headers().contains_key(TENANT_HEADER);
            let is_operator = bearer.tenant.is_none() && bearer.key.is_some();
            let tenant = if is_operator && !is_named {
                None
            } else {
                Some(bearer.tenant_of(self.keys.tenants(), request.headers()).await?)
            };
            request.extensions_mut().insert(TenantOrAll(tenant));
        }
        if access.about == About::One {
            let tenant = match bearer.tenant_of(self.keys.tenants(), request.headers()).await {
                Err(Problem::TenantRequired) if is_signed => return Ok(()),
                tenant => tenant?,
            };
            request.extensions_mut().insert(Caller { tenant, bearer });
        }
        request.extensions_mut().insert(bearer);
        Ok(())
    }
}
