//! The scenarios: a file each, with the tables that it prints.

mod against;
mod burst;
pub(crate) mod dead_receiver;
mod dead_receiver_stage;
pub(crate) mod fan_out;
pub(crate) mod features;
pub(crate) mod held_transaction;
pub(crate) mod idle;
pub(crate) mod large_payloads;
pub(crate) mod many_subscriptions;
pub(crate) mod many_tenants;
pub(crate) mod noisy_tenant;
pub(crate) mod overload;
pub(crate) mod processes;
pub(crate) mod steady;
pub(crate) mod stored;
pub(crate) mod viewers;
