//! postrider delivers webhooks. PostgreSQL is the queue. ARCHITECTURE.md has the map and the invariants.

pub mod api;
pub mod commands;
pub mod config;
pub mod domain;
pub mod http;
pub mod intake;
pub mod sender;
pub mod shutdown;
pub mod store;
pub mod subscriptions;
pub mod supervisor;
pub mod telemetry;
pub mod tenants;
pub mod tls;
pub mod upkeep;
pub mod worker;
