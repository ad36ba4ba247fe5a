//! postrider delivers webhooks, with PostgreSQL as the queue.

pub mod commands;
pub mod config;
pub mod domain;
pub mod intake;
pub mod sender;
pub mod shutdown;
pub mod store;
pub mod telemetry;
pub mod upkeep;
pub mod worker;
