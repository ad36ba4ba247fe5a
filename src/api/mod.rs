//! The HTTP API: one file a resource, and around them what all requests share.
//!
//! A request passes, outermost first: `crate::http` (connections, heads), `routes` (request
//! id, framing), poem's router (path, method), `routes::operation` (key, scope, query names),
//! then its handler (parameters, body). Every failure is a `problem`. Nothing here sends to receivers or
//! knows the queue: an accepted event is handed to `intake`, and the rest is read from `store`.

mod access;
mod auth;
mod body;
mod docs;
mod events;
mod form;
mod ingest;
mod key_uses;
mod keys;
mod logs;
mod metadata;
mod notify;
mod page;
mod parameter;
mod payload;
mod problem;
mod replays;
mod request_id;
mod resolve;
mod routes;
mod server;
mod signatures;
mod status;
mod subscriptions;
mod tenants;
mod text;

pub use docs::openapi_document;
pub use server::serve;

use std::sync::Arc;
use std::time::Duration;

use poem::Response;
use poem::endpoint::Endpoint;

use crate::domain::target::TargetPolicy;
use crate::intake::Intake;
use crate::store::{Clock, Store};
use crate::subscriptions::Subscriptions;
use crate::telemetry::Metrics;
use crate::tenants::Tenants;

/// What the API needs to know of the settings.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Whether requests need a key; without, all are an operator.
    pub auth_required: bool,
    /// Most bytes of an event's payload.
    pub max_payload_bytes: usize,
    /// Most bytes of a batch of events.
    pub max_batch_bytes: usize,
    /// Most bytes of all request bodies together.
    pub max_request_bytes: usize,
    /// Most connections at once.
    pub max_connections: usize,
    /// How long a delivery lives, and how far ahead it may be asked for.
    pub delivery_lifetime: Duration,
    /// What may be a target.
    pub targets: Arc<TargetPolicy>,
    /// Where the service is reached from outside, without slash at the end; for examples.
    pub public_url: String,
}

/// The API with all it stands on. Clones share it.
#[derive(Clone)]
pub struct Api {
    /// What it needs to know of the settings.
    pub settings: ApiSettings,
    /// For reads, and for keys.
    pub store: Store,
    /// For tenants and keys.
    pub tenants: Tenants,
    /// For subscriptions.
    pub subscriptions: Subscriptions,
    /// Takes accepted events.
    pub intake: Intake,
    /// The database's time.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Metrics,
}

impl Api {
    /// The whole API as one endpoint, which answers every request and never fails.
    pub fn routes(self) -> impl Endpoint<Output = Response> + 'static {
        routes::Routes::new(self)
    }
}
