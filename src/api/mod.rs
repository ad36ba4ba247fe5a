//! The HTTP API: one file per resource.
//!
//! A request passes `crate::http` (connections, heads), `routes` (request id, framing), poem's router,
//! `routes::operation` (key, scope, query names), then its handler. Every failure is a `problem`.

mod access;
mod analytics;
mod attempts;
mod audit;
mod auth;
mod body;
mod deliveries;
mod docs;
mod event_types;
mod events;
mod form;
mod ingest;
mod json;
mod key_uses;
mod keys;
mod logs;
mod me;
mod metadata;
mod notify;
mod operations;
mod outbox;
mod page;
mod parameter;
mod path;
mod payload;
mod places;
mod portal;
mod problem;
mod refusals;
mod replays;
mod request_id;
mod resolve;
mod routes;
mod search;
mod selection;
mod server;
mod signatures;
mod status;
mod stream;
mod subscriptions;
mod tenants;
mod text;
mod time_range;
mod web;

pub use docs::openapi_document;
pub use operations::{OperationsSettings, ShownSetting};
pub use portal::PortalSettings;
pub use refusals::Refusals;
pub use server::serve;

use std::sync::Arc;
use std::time::Duration;

use poem::Response;
use poem::endpoint::Endpoint;
use tokio_util::task::TaskTracker;

use crate::domain::target::TargetPolicy;
use crate::domain::tester::Tester;
use crate::intake::Intake;
use crate::store::{Clock, Store};
use crate::subscriptions::Subscriptions;
use crate::telemetry::Metrics;
use crate::tenants::Tenants;

#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Without, every request is an operator's.
    pub auth_required: bool,
    pub max_payload_bytes: usize,
    pub max_batch_bytes: usize,
    pub max_request_bytes: usize,
    pub max_connections: usize,
    /// An eighth of them is the most of one tenant.
    pub max_streams: usize,
    /// Also the latest `deliver_at`.
    pub delivery_lifetime: Duration,
    /// Older rows of the log may be gone.
    pub log_retention: Duration,
    /// Maximum number of subscriptions of a tenant without a limit of its own.
    pub max_subscriptions: Option<u32>,
    pub targets: Arc<TargetPolicy>,
    /// Without a trailing slash; for examples.
    pub public_url: String,
    pub portal: PortalSettings,
    pub operations: OperationsSettings,
}

#[derive(Clone)]
pub struct Api {
    pub settings: ApiSettings,
    pub store: Store,
    pub tenants: Tenants,
    pub subscriptions: Subscriptions,
    pub intake: Intake,
    pub tester: Tester,
    pub refusals: Refusals,
    /// They go on if their client leaves, and a stop waits for them.
    pub tasks: TaskTracker,
    pub clock: Clock,
    pub metrics: Metrics,
}

impl Api {
    /// Answers every request and never fails.
    pub fn routes(self) -> impl Endpoint<Output = Response> + 'static {
        routes::Routes::new(self)
    }
}
