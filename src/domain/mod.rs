//! Types and rules that all parts share.
//!
//! Pure: no I/O, no async, no clock, no random numbers; times and random bytes are arguments. A value of these
//! types is valid, so nothing checks it again.

pub mod actor;
pub mod address;
pub mod api_key;
pub mod attempt;
pub mod audience;
pub mod auth;
pub mod backoff;
pub mod breaker;
pub mod bucket;
mod concurrency;
pub mod delivery;
pub mod duration;
pub mod end;
pub mod event;
pub mod event_type;
pub mod external_id;
pub mod handoff;
pub mod id;
pub mod idempotency;
pub mod keyring;
pub mod metadata;
pub mod next_step;
pub mod ordering;
pub mod outcome;
pub mod payload;
pub mod policy;
pub mod recovery;
pub mod replay;
pub mod request_headers;
pub mod retry_after;
pub mod rotation;
pub mod secret;
pub mod share;
pub mod signature;
pub mod slots;
pub mod subscription;
pub mod target;
pub mod tenant;
pub mod timing;
