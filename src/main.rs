//! Picks the command; nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    postrider::commands::main()
}
