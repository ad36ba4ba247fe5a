//! What the stories stand on.

pub(crate) mod api;
pub(crate) mod commands;
pub(crate) mod contract;
pub(crate) mod database;
pub(crate) mod folder;
pub(crate) mod http;
pub(crate) mod pgbouncer;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod psql;
pub(crate) mod receiver;
pub(crate) mod redis;
pub(crate) mod rig;
pub(crate) mod snapshot;
pub(crate) mod stock;
pub(crate) mod wait;
