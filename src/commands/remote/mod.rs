//! Commands that talk to a server over its public API, as anybody else does. They hold no rules: the server checks.

pub(in crate::commands) mod client;
pub(in crate::commands) mod printable;
pub(in crate::commands) mod refusal;
