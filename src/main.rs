//! Picks the command; nothing else.

fn main() {}
