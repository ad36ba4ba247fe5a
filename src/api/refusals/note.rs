//! What is known of a request to publish, should it be refused. The parts that read the request add what they learn.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use poem::Request;
use poem::http::{HeaderValue, Method, header};

use crate::api::auth::Bearer;
use crate::api::path;
use crate::api::problem::Problem;
use crate::domain::api_key::ApiKey;
use crate::domain::id::{ApiKeyId, SubscriptionId, TenantId};
use crate::http::{Beginning, Peer};

/// Of one request. The others are counted as not kept.
const MAX_ITEMS: usize = 20;

/// An extension of a request to `/ingest` and `/events`. Clones share what was learnt.
#[derive(Clone, Default)]
pub(in crate::api) struct Note(Arc<Inner>);

#[derive(Default)]
struct Inner {
    head: Head,
    learnt: Mutex<Learnt>,
}

/// From the request's head: cheap copies, because most requests are accepted.
#[derive(Default, Clone)]
pub(super) struct Head {
    pub(super) route: &'static str,
    /// From the path.
    pub(super) subscription: Option<String>,
    pub(super) remote_address: Option<IpAddr>,
    pub(super) request_id: String,
    pub(super) beginning: Option<Beginning>,
    event_type: Option<HeaderValue>,
    idempotency_key: Option<HeaderValue>,
    authorization: Option<HeaderValue>,
}

#[derive(Default)]
pub(super) struct Learnt {
    pub(super) tenant: Option<TenantId>,
    pub(super) subscription: Option<SubscriptionId>,
    /// Whether a valid key or signature came with it.
    pub(super) is_own: bool,
    /// Its key is for all tenants.
    pub(super) is_operator: bool,
    /// Why it was refused, where the answer must not say so.
    pub(super) cause: Option<Problem>,
    pub(super) items: Vec<(Item, Problem)>,
    /// Refused items above [`MAX_ITEMS`].
    pub(super) left_out: u64,
}

/// An event of a batch.
#[derive(Debug, Clone, Default)]
pub(in crate::api) struct Item {
    /// `None`: of the request's, unless the event names another.
    pub(in crate::api) tenant: Option<TenantId>,
    /// Whether it may name a tenant of its own.
    pub(in crate::api) names_tenant: bool,
    pub(in crate::api) subscription: Option<String>,
    pub(in crate::api) event_type: Option<String>,
    pub(in crate::api) idempotency_key: Option<String>,
    pub(in crate::api) payload: Bytes,
}

impl Note {
    /// `None` for other requests.
    pub(in crate::api) fn of(request: &Request, request_id: &str) -> Option<Self> {
        let path = path::normalised(request.uri().path());
        let path = path.as_deref().unwrap_or(request.uri().path()).trim_end_matches('/');
        let (route, subscription) = match path {
            "/events" => ("/events", None),
            "/events/batch" => ("/events/batch", None),
            _ => ("/ingest/{subscription_id}", Some(path.strip_prefix("/ingest/")?.to_owned())),
        };
        if request.method() != Method::POST {
            return None;
        }
        let one = |name: &str| request.headers().get(name).cloned();
        let head = Head {
            route,
            subscription,
            remote_address: request.extensions().get::<Peer>().map(|peer| peer.0.ip()),
            request_id: request_id.to_owned(),
            beginning: request.extensions().get().cloned(),
            event_type: one("x-event-type"),
            idempotency_key: one("idempotency-key"),
            authorization: one(header::AUTHORIZATION.as_str()),
        };
        Some(Self(Arc::new(Inner { head, learnt: Mutex::default() })))
    }

    /// A valid key came with it; the tenant, if it is about one.
    pub(in crate::api) fn caller(&self, bearer: Bearer, tenant: Option<TenantId>) {
        let mut learnt = self.learnt();
        learnt.tenant = tenant.or(bearer.tenant);
        learnt.is_own = learnt.tenant.is_some();
        learnt.is_operator = bearer.tenant.is_none();
    }

    /// It is for this subscription.
    pub(in crate::api) fn subscription(&self, tenant: TenantId, id: SubscriptionId) {
        let mut learnt = self.learnt();
        learnt.tenant = Some(tenant);
        learnt.subscription = Some(id);
    }

    /// Its signature is valid.
    pub(in crate::api) fn signed(&self) {
        self.learnt().is_own = true;
    }

    /// Why it is refused. The answer says less.
    pub(in crate::api) fn cause(&self, problem: Problem) {
        self.learnt().cause = Some(problem);
    }

    /// An event of a batch is refused. Gives the problem back.
    pub(in crate::api) fn item(&self, item: Item, problem: Problem) -> Problem {
        let mut learnt = self.learnt();
        if learnt.items.len() < MAX_ITEMS {
            learnt.items.push((item, problem.clone()));
        } else {
            learnt.left_out += 1;
        }
        problem
    }

    pub(super) fn head(&self) -> &Head {
        &self.0.head
    }

    pub(super) fn learnt(&self) -> MutexGuard<'_, Learnt> {
        self.0.learnt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Head {
    /// Right or wrong.
    pub(super) fn key(&self) -> Option<ApiKeyId> {
        let value = self.authorization.as_ref()?.to_str().ok()?;
        ApiKey::id_in(value.split_once(' ')?.1.trim())
    }

    pub(super) fn event_type(&self) -> Option<String> {
        self.event_type.as_ref().map(text)
    }

    pub(super) fn idempotency_key(&self) -> Option<String> {
        self.idempotency_key.as_ref().map(text)
    }
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}
