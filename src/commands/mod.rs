//! One file a command: what the program does when it is called by that name.
//!
//! Commands connect the parts with each other and read the settings. They hold no rule of
//! their own about events, deliveries or receivers.

pub mod dev;
pub mod listen;
