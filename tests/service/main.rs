//! The service as its users meet it: each file is a claim, each test a story.

mod support;

mod dev;
mod queue;
mod schema;
mod statements;
