//! Who may call an operation: `caller: Allowed<Admin>` in a handler's signature documents the scope, and `routes`
//! checks it before the request is parsed.

use std::marker::PhantomData;
use std::ops::Deref;

use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::auth::{Bearer, Caller};
use super::problem::Problem;
use super::request_id::RequestId;
use crate::domain::actor::Actor;
use crate::domain::grant::Need;
use crate::domain::id::TenantId;

mod document;
mod guard;

pub(super) use document::finish;
pub(super) use guard::Guard;

const SCHEME: &str = "api_key";
/// Marks the need of an operation about no tenant, until [`finish`].
const OF_NO_TENANT: &str = "of no tenant: ";
/// The same for an operation about one tenant or all.
const OF_ANY_TENANT: &str = "of any tenant: ";
/// The same for an operation about one tenant, or all if the header is `*`.
const OF_NAMED_TENANTS: &str = "of named tenants: ";
/// The same for an operation whose items may name their tenants.
const OF_EACH_TENANT: &str = "of each tenant: ";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Access {
    pub(super) need: Need,
    /// A signature of the subscription is enough.
    pub(super) or_signature: bool,
    /// Which tenants it is about.
    pub(super) about: About,
}

/// Which tenants an operation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// One, which an operator key has to name.
    One,
    /// One, or all if an operator key names none.
    Any,
    /// One, which an operator key has to name, or all by `*`.
    Named,
    /// Each item's own, or the one that the request names.
    Each,
    /// None.
    None,
}

impl Access {
    /// From the name of a security scheme.
    pub(super) fn read(scheme: &str, or_signature: bool) -> Option<Self> {
        let (about, need) = About::read(scheme);
        Some(Self { need: read_need(need)?, or_signature, about })
    }
}

impl About {
    /// What the name of a security scheme says, and the need in it.
    fn read(scheme: &str) -> (Self, &str) {
        let of_none = scheme.strip_prefix(OF_NO_TENANT).map(|scope| (Self::None, scope));
        let of_any = || scheme.strip_prefix(OF_ANY_TENANT).map(|scope| (Self::Any, scope));
        let of_named = || scheme.strip_prefix(OF_NAMED_TENANTS).map(|scope| (Self::Named, scope));
        let of_each = || scheme.strip_prefix(OF_EACH_TENANT).map(|scope| (Self::Each, scope));
        of_none.or_else(of_any).or_else(of_named).or_else(of_each).unwrap_or((Self::One, scheme))
    }
}

/// `any`, `SCOPE`, or `SCOPE, portal CAPABILITY`.
fn read_need(text: &str) -> Option<Need> {
    if text == "any" {
        return Some(Need::Nothing);
    }
    let (scope, capability) = match text.split_once(", portal ") {
        Some((scope, capability)) => (scope, Some(capability.parse().ok()?)),
        None => (text, None),
    };
    Some(Need::Either(scope.parse().ok()?, capability))
}

/// What an operation needs as a type, for signatures: as text, and the same with each prefix above.
pub(super) trait Needs: Send + Sync + 'static {
    const TEXT: &str;
    const OF_NO_TENANT: &str;
    const OF_ANY_TENANT: &str;
    const OF_NAMED_TENANTS: &str;
    const OF_EACH_TENANT: &str;
}

macro_rules! needs {
    ($($(#[doc = $doc:literal])* $type:ident = $text:literal;)*) => {$(
        $(#[doc = $doc])*
        pub(super) struct $type;

        impl Needs for $type {
            const TEXT: &str = $text;
            const OF_NO_TENANT: &str = concat!("of no tenant: ", $text);
            const OF_ANY_TENANT: &str = concat!("of any tenant: ", $text);
            const OF_NAMED_TENANTS: &str = concat!("of named tenants: ", $text);
            const OF_EACH_TENANT: &str = concat!("of each tenant: ", $text);
        }
    )*};
}

needs! {
    /// Any key, and any portal session.
    Anybody = "any";
    Admin = "admin";
    /// What customers may do with their own subscriptions and deliveries.
    Manage = "admin, portal manage";
    Publish = "publish";
    /// What a producer and a customer may repeat or stop.
    Repeat = "publish, portal manage";
    /// Payloads and bodies.
    Read = "read, portal read";
    /// What shows payloads and bodies only to who may [`Read`] them.
    Support = "support, portal read";
    /// The same for what is not for customers.
    Staff = "support";
}

pub(super) struct Allowed<N>(Caller, Actor, PhantomData<fn() -> N>);

/// Without a caller if the request carries a signature.
pub(super) struct AllowedOrSigned<N>(pub(super) Option<Caller>, PhantomData<fn() -> N>);

/// For operations about no tenant.
pub(super) struct AllowedForAll<N>(Bearer, Actor, PhantomData<fn() -> N>);

/// A caller whose key has the scope, with the tenant that the request is about, or all.
pub(super) struct AllowedForAny<N>(TenantOrAll, PhantomData<fn() -> N>);

/// The same where an operator key has to name a tenant, or all by `*`.
pub(super) struct AllowedForNamed<N>(TenantOrAll, Bearer, PhantomData<fn() -> N>);

/// For operations whose items may name their tenants.
pub(super) struct AllowedForEach<N>(TenantOrAll, Bearer, PhantomData<fn() -> N>);

impl<N> AllowedForEach<N> {
    /// The tenant of items that name none.
    pub(super) fn tenant(&self) -> Option<TenantId> {
        self.0.0
    }

    pub(super) fn bearer(&self) -> Bearer {
        self.1
    }
}

/// The tenant that a request is about; `None` for all.
#[derive(Debug, Clone, Copy)]
struct TenantOrAll(Option<TenantId>);

impl<N> AllowedForAny<N> {
    /// The tenant; `None` for all.
    pub(super) fn tenant(&self) -> Option<TenantId> {
        self.0.0
    }
}

impl<N> AllowedForNamed<N> {
    /// The tenant; `None` for all.
    pub(super) fn tenant(&self) -> Option<TenantId> {
        self.0.0
    }

    pub(super) fn bearer(&self) -> Bearer {
        self.1
    }
}

impl<N> Allowed<N> {
    pub(super) fn actor(&self) -> &Actor {
        &self.1
    }
}

impl<N> AllowedForAll<N> {
    pub(super) fn actor(&self) -> &Actor {
        &self.1
    }

    /// The same for what only operators may do.
    pub(super) fn operator(&self) -> Result<&Actor, Problem> {
        if self.tenant.is_none() { Ok(&self.1) } else { Err(Problem::ScopeMissing) }
    }
}

impl<N> Deref for AllowedForAll<N> {
    type Target = Bearer;

    fn deref(&self) -> &Bearer {
        &self.0
    }
}

impl<N> Deref for Allowed<N> {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.0
    }
}

fn register_scheme(registry: &mut Registry) {
    registry.create_security_scheme(
        SCHEME,
        MetaSecurityScheme {
            ty: "http",
            description: Some("A key made by `postrider keys create` or `POST /keys`."),
            name: None,
            key_in: None,
            scheme: Some("bearer"),
            bearer_format: Some("prk_"),
            flows: None,
            openid_connect_url: None,
        },
    );
}

macro_rules! extractor {
    ($type:ident, scheme: $scheme:expr, or_signature: $or_signature:literal, $of:expr) => {
        impl<'a, N: Needs> ApiExtractor<'a> for $type<N> {
            const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
            type ParamType = ();
            type ParamRawType = ();

            fn register(registry: &mut Registry) {
                register_scheme(registry);
            }

            fn security_schemes() -> Vec<&'static str> {
                vec![$scheme]
            }

            fn has_security_fallback() -> bool {
                $or_signature
            }

            async fn from_request(
                request: &'a Request,
                _body: &mut RequestBody,
                _options: ExtractParamOptions<()>,
            ) -> poem::Result<Self> {
                let of: fn(&Request) -> Result<Self, Problem> = $of;
                Ok(of(request)?)
            }
        }
    };
}

extractor!(Allowed, scheme: N::TEXT, or_signature: false, |request| {
    let caller: Caller = request.extensions().get().copied().ok_or(Problem::Unauthenticated)?;
    Ok(Self(caller, actor(request, caller.bearer), PhantomData))
});
extractor!(AllowedOrSigned, scheme: N::TEXT, or_signature: true, |request| {
    Ok(Self(request.extensions().get().copied(), PhantomData))
});
extractor!(AllowedForAll, scheme: N::OF_NO_TENANT, or_signature: false, |request| {
    let bearer: Bearer = request.extensions().get().copied().ok_or(Problem::Unauthenticated)?;
    Ok(Self(bearer, actor(request, bearer), PhantomData))
});

extractor!(AllowedForEach, scheme: N::OF_EACH_TENANT, or_signature: false, |request| {
    let tenant: TenantOrAll = request.extensions().get().copied().ok_or(Problem::Unauthenticated)?;
    let bearer: Bearer = request.extensions().get().copied().ok_or(Problem::Unauthenticated)?;
    Ok(Self(tenant, bearer, PhantomData))
});
extractor!(AllowedForNamed, scheme: N::OF_NAMED_TENANTS, or_signature: false, |request| {
    let tenant: TenantOrAll = request.extensions().get().copied().ok_or(Problem::Unauthenticated)?;
    let bearer: Bearer = request.extensions().get().copied().ok_or(Problem::Unauthenticated)?;
    Ok(Self(tenant, bearer, PhantomData))
});
extractor!(AllowedForAny, scheme: N::OF_ANY_TENANT, or_signature: false, |request| {
    let tenant: TenantOrAll = request.extensions().get().copied().ok_or(Problem::Unauthenticated)?;
    Ok(Self(tenant, PhantomData))
});

fn actor(request: &Request, bearer: Bearer) -> Actor {
    let request_id = request.extensions().get::<RequestId>().map_or("", |id| id.0.as_str());
    bearer.actor(request_id)
}
