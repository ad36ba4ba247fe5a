//! The schema that the tables are in.

use std::fmt;
use std::str::FromStr;

/// PostgreSQL truncates longer names.
const MAX_LENGTH: usize = 63;

/// An identifier that never needs quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaName(String);

impl SchemaName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for SchemaName {
    fn default() -> Self {
        Self("public".to_owned())
    }
}

impl fmt::Display for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SchemaName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let begins = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
        let plain = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !begins || !plain || text.len() > MAX_LENGTH {
            return Err(format!(
                "must be 1 to {MAX_LENGTH} lower-case letters, digits and underscores, not beginning with a digit"
            ));
        }
        if text.starts_with("pg_") || ["information_schema", "postrider", "analytics"].contains(&text) {
            return Err("must not be a schema of PostgreSQL, nor `postrider` or `analytics`, which are for users' SQL"
                .to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_a_plain_identifier() {
        for good in ["public", "hooks_2", "_x"] {
            assert_eq!(good.parse::<SchemaName>().unwrap().as_str(), good);
        }
        for bad in ["", "Hooks", "2x", "a b", "a;b", "$user", "pg_temp", "postrider", "analytics", &"a".repeat(64)] {
            assert!(bad.parse::<SchemaName>().is_err(), "{bad}");
        }
    }
}
