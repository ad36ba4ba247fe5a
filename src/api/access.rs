//! Who may call an operation, said in the signature of its handler.
//!
//! `caller: Allowed<Admin>` documents the scope, lets `routes` check it before anything of the
//! request is parsed, and gives the handler the caller.

use std::marker::PhantomData;
use std::ops::Deref;

use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde_json::{Map, Value, json};

use super::auth::{Caller, Keys};
use super::default_tenant;
use super::ingest::IngestHeaders;
use super::problem::Problem;
use crate::domain::api_key::Scope;

/// Name of the security scheme in the document.
const SCHEME: &str = "api_key";

/// What an operation asks of its callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Access {
    /// A key of this scope.
    pub(super) scope: Scope,
    /// A signature of the subscription opens it too.
    pub(super) or_signature: bool,
}

/// A scope as a type, for signatures.
pub(super) trait Needs: Send + Sync + 'static {
    /// The scope.
    const SCOPE: Scope;
}

/// Needs [`Scope::Admin`].
pub(super) struct Admin;
/// Needs [`Scope::Publish`].
pub(super) struct Publish;
/// Needs [`Scope::Read`].
pub(super) struct Read;

impl Needs for Admin {
    const SCOPE: Scope = Scope::Admin;
}
impl Needs for Publish {
    const SCOPE: Scope = Scope::Publish;
}
impl Needs for Read {
    const SCOPE: Scope = Scope::Read;
}

/// A caller whose key has the scope.
pub(super) struct Allowed<N>(Caller, PhantomData<fn() -> N>);

/// A caller whose key has the scope, or nobody where the request carries a signature.
pub(super) struct AllowedOrSigned<N>(pub(super) Option<Caller>, PhantomData<fn() -> N>);

impl<N> Deref for Allowed<N> {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.0
    }
}

/// Checks keys where the server asks for them.
pub(super) struct Guard {
    auth_required: bool,
    keys: Keys,
}

impl Guard {
    /// A guard with these keys.
    pub(super) fn new(auth_required: bool, keys: Keys) -> Self {
        Self { auth_required, keys }
    }

    /// The keys it knows.
    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Puts the caller into the request, for the handler.
    ///
    /// # Errors
    /// 401 without a key that is valid, 403 where its scope does not cover the operation.
    pub(super) async fn admit(&self, request: &mut Request, access: Access) -> Result<(), Problem> {
        let caller = if self.auth_required {
            self.keys.caller(request.headers()).await?
        } else {
            Some(Caller { tenant: default_tenant(), scope: Scope::Admin })
        };
        match caller {
            Some(caller) if caller.scope.allows(access.scope) => {
                request.extensions_mut().insert(caller);
                Ok(())
            }
            // The handler verifies the signature, whatever key comes with it.
            _ if access.or_signature && IngestHeaders::has_signature(request.headers()) => Ok(()),
            Some(_) => Err(Problem::ScopeMissing),
            None => Err(Problem::Unauthenticated),
        }
    }
}

/// Writes the scope into an operation of the document, where [`Allowed`] left it as the name of
/// a security scheme.
pub(super) fn finish(operation: &mut Map<String, Value>, auth_required: bool) {
    let Some(mut security) = operation.remove("security").filter(|_| auth_required) else { return };
    let Some(scheme) = security.pointer_mut("/0").and_then(Value::as_object_mut) else { return };
    let scope: String = std::mem::take(scheme).into_iter().map(|(name, _)| name).collect();
    scheme.insert(SCHEME.to_owned(), json!([]));
    let described = operation.get("description").and_then(Value::as_str).unwrap_or_default();
    let or_admin = if scope == Scope::Admin.as_str() { "" } else { " or `admin`" };
    let described = format!("{described}\n\nNeeds a key with the scope `{scope}`{or_admin}.");
    operation.insert("description".to_owned(), described.trim_start().into());
    operation.insert("security".to_owned(), security);
    operation.insert("x-scope".to_owned(), scope.into());
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

macro_rules! extractor {
    ($type:ident, or_signature: $or_signature:literal, $of:expr) => {
        impl<'a, N: Needs> ApiExtractor<'a> for $type<N> {
            const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
            type ParamType = ();
            type ParamRawType = ();

            fn register(registry: &mut Registry) {
                register_scheme(registry);
            }

            fn security_schemes() -> Vec<&'static str> {
                vec![N::SCOPE.as_str()]
            }

            fn has_security_fallback() -> bool {
                $or_signature
            }

            async fn from_request(
                request: &'a Request,
                _body: &mut RequestBody,
                _options: ExtractParamOptions<()>,
            ) -> poem::Result<Self> {
                let of: fn(Option<Caller>) -> Result<Self, Problem> = $of;
                Ok(of(request.extensions().get().copied())?)
            }
        }
    };
}

extractor!(Allowed, or_signature: false, |caller| Ok(Self(caller.ok_or(Problem::Unauthenticated)?, PhantomData)));
extractor!(AllowedOrSigned, or_signature: true, |caller| Ok(Self(caller, PhantomData)));
