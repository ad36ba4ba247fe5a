//! postrider delivers webhooks, with PostgreSQL as the queue.

pub mod domain;
