//! Who asks: bearer keys, checked against PostgreSQL at most once a second each.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use poem::http::{HeaderMap, header};
use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::problem::Problem;
use crate::domain::api_key::{ApiKey, Scope};
use crate::domain::id::{ApiKeyId, TenantId};
use crate::store::{KnownKey, Store, StoreError};

/// How long a key is believed without asking again: the bound on how late a revocation is seen.
const KEY_TTL: Duration = Duration::from_secs(1);
/// Most keys remembered.
const MAX_KEYS: usize = 10_000;
const SCHEME: &str = "api_key";

/// Who asks, and what they may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caller {
    /// Whose objects they see.
    pub(super) tenant: TenantId,
    /// What they may do.
    pub(super) scope: Scope,
}

/// Who asks where a signature may do instead of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MaybeCaller(pub(super) Option<Caller>);

/// Checks keys.
pub(super) struct Keys {
    store: Store,
    known: Mutex<HashMap<ApiKeyId, (KnownKey, Instant)>>,
}

impl Keys {
    /// Keys of this store.
    pub(super) fn new(store: Store) -> Self {
        Self { store, known: Mutex::default() }
    }

    /// The caller of a request; `None` without a valid key.
    ///
    /// # Errors
    /// [`Problem`] for more than one `Authorization`, or when the database is away.
    pub(super) async fn caller(&self, headers: &HeaderMap) -> Result<Option<Caller>, Problem> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return if headers.contains_key(header::AUTHORIZATION) {
                Err(Problem::MalformedRequest("Authorization must stand only once"))
            } else {
                Ok(None)
            };
        };
        let Some(key) = value.to_str().ok().and_then(bearer).and_then(|text| text.parse::<ApiKey>().ok()) else {
            return Ok(None);
        };
        let known = self.known(key.id(), Instant::now()).await?;
        let known = known.filter(|known| known.hash.matches(&key.hash()));
        Ok(known.map(|known| Caller { tenant: known.tenant, scope: known.scope }))
    }

    async fn known(&self, id: ApiKeyId, now: Instant) -> Result<Option<KnownKey>, StoreError> {
        let remembered = self.lock().get(&id).filter(|(_, until)| *until > now).map(|(known, _)| known.clone());
        if remembered.is_some() {
            return Ok(remembered);
        }
        let found = self.store.find_api_key(id).await?;
        let mut known = self.lock();
        match &found {
            // Counted from before the question: the answer may be old by the time it comes.
            Some(key) => {
                if known.len() >= MAX_KEYS {
                    known.retain(|_, (_, until)| *until > now);
                }
                known.insert(id, (key.clone(), now + KEY_TTL));
            }
            None => drop(known.remove(&id)),
        }
        Ok(found)
    }

    /// What is remembered stays whole through a panic elsewhere.
    fn lock(&self) -> MutexGuard<'_, HashMap<ApiKeyId, (KnownKey, Instant)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The token after `Bearer `, whose case does not count.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn register_scheme(registry: &mut Registry) {
    registry.create_security_scheme(
        SCHEME,
        MetaSecurityScheme {
            ty: "http",
            description: Some("A key made by `postrider keys create`. Not needed where POSTRIDER_AUTH=off."),
            name: None,
            key_in: None,
            scheme: Some("bearer"),
            bearer_format: Some("prk_…"),
            flows: None,
            openid_connect_url: None,
        },
    );
}

impl<'a> ApiExtractor<'a> for Caller {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        register_scheme(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![SCHEME]
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        request.extensions().get().copied().ok_or_else(|| Problem::Unauthenticated.into())
    }
}

impl<'a> ApiExtractor<'a> for MaybeCaller {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        register_scheme(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![SCHEME]
    }

    fn has_security_fallback() -> bool {
        true
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(Self(request.extensions().get().copied()))
    }
}
