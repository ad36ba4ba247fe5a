//! postrider delivers webhooks, with PostgreSQL as the queue.
//!
//! In reading order: [`domain`] has the words and rules, pure. An event enters through
//! [`api`], is checked against its subscription ([`subscriptions`]), is written down by
//! [`intake`] into [`store`] (PostgreSQL, the truth), is taken from there by [`worker`] and
//! brought to its receiver by [`sender`]. [`upkeep`] makes partitions ahead and frees what
//! a crash left behind. [`http`] is the accept loop of everything that listens. [`commands`] connects the parts to the program that people run, on
//! the settings of [`config`], with [`telemetry`] and [`shutdown`] around it.
//! ARCHITECTURE.md has the map and the invariants.

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
pub mod telemetry;
pub mod upkeep;
pub mod worker;
