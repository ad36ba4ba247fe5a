//! The service as its users meet it: each file is a claim, each test a story.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod support;

mod analytics;
mod api_ingest;
mod api_keys;
mod api_logs;
mod api_paths;
mod api_scopes;
mod api_subscriptions;
mod api_wire;
mod audit;
mod bounds;
mod breaker;
mod cancel;
mod corpus;
mod database_defaults;
mod database_failover;
mod database_pooler;
mod database_tls;
mod dead_receiver;
mod dev;
mod doctor;
mod errors;
mod external_ids;
mod keys;
mod limits;
mod listen;
mod model;
mod ordering;
mod ordering_crashes;
mod outage;
mod outputs;
mod pace;
mod policy;
mod processes;
mod producers;
mod publish;
mod publish_batch;
mod publish_fan_out;
mod publish_lists;
mod queue;
mod redis_cache;
mod replay;
mod replay_api;
mod request_headers;
mod retention;
mod rotation;
mod schema;
mod settings;
mod statements;
mod states;
mod system_events;
mod tenants;
