//! Whether mistakes that only cost a warning stop a command.

use super::declare::settings;
use super::rules::boolean;

settings! {
    StrictConfig {}

    /// Whether an unknown POSTRIDER_ variable, or a master key that does not open what is stored, stops a command
    /// instead of causing a warning
    strict: bool = "POSTRIDER_STRICT", boolean(), Default::Value("false");
}
