//! Finds environment variables that look like misspelt settings.

use std::collections::BTreeSet;
use std::fmt;

use super::declare::Declared;
use super::declared;

/// Of every setting except URLs.
const PREFIX: &str = "POSTRIDER_";
/// Of our scripts, tests and examples.
const NOT_SETTINGS: [&str; 5] =
    ["POSTRIDER_API", "POSTRIDER_BIN", "POSTRIDER_MODEL_SEED", "POSTRIDER_TEST_CONF", "POSTRIDER_TEST_SERVER"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownSetting {
    pub name: String,
    pub nearest: Option<String>,
}

impl fmt::Display for UnknownSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.nearest {
            Some(nearest) => write!(f, "{} is not a setting: did you mean {nearest}?", self.name),
            None => write!(f, "{} is not a setting: remove it, or see `postrider settings`", self.name),
        }
    }
}

/// Of variables with their values, which come from the environment and from `.env`.
pub(super) fn unknown_among<'a>(variables: impl Iterator<Item = (&'a String, &'a String)>) -> Vec<UnknownSetting> {
    let known = known_names();
    let is_unknown = |name: &str| !known.contains(&name) && !NOT_SETTINGS.contains(&name);
    let looks = |name: &str, value: &str| name.starts_with(PREFIX) && !value.trim().is_empty();
    let unknown: BTreeSet<&String> = variables
        .filter(|(name, value)| looks(name, value) && is_unknown(name) && !is_of_kubernetes(name, value))
        .map(|(name, _)| name)
        .collect();
    unknown.into_iter().map(|name| UnknownSetting { nearest: nearest(name), name: name.clone() }).collect()
}

/// Kubernetes gives every pod the addresses of services as variables, also of one that is called `postrider`.
fn is_of_kubernetes(name: &str, value: &str) -> bool {
    let is_port = |name: &str| {
        ["_TCP", "_UDP", "_SCTP"]
            .iter()
            .any(|protocol| name.contains(&format!("{protocol}_")) || name.ends_with(protocol))
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || (name.ends_with("_PORT") && value.contains("://"))
        || (name.contains("_PORT_") && is_port(name))
}

fn known_names() -> Vec<&'static str> {
    declared().iter().flat_map(Declared::names).collect()
}

/// Differs in a third of its letters at most, without regard to the prefix.
pub(super) fn nearest(name: &str) -> Option<String> {
    let bare = name.trim_start_matches(PREFIX);
    let known = known_names();
    let (difference, nearest) =
        known.iter().map(|known| (differences(bare, known.trim_start_matches(PREFIX)), *known)).min()?;
    (difference <= bare.len() / 3).then(|| nearest.to_owned())
}

/// The Levenshtein distance, one row of the table at a time.
fn differences(one: &str, other: &str) -> usize {
    let mut above: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.bytes().enumerate() {
        let mut left = line + 1;
        let mut row = vec![left];
        for (pair, candidate) in above.windows(2).zip(other.bytes()) {
            let &[diagonal, over] = pair else { break };
            left = (diagonal + usize::from(letter != candidate)).min(over + 1).min(left + 1);
            row.push(left);
        }
        above = row;
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_counted_in_letters() {
        let counted = [("kitten", "sitting"), ("", "abc"), ("abc", "abc"), ("abc", "acb")];
        assert_eq!(counted.map(|(one, other)| differences(one, other)), [3, 3, 0, 2]);
    }

    #[test]
    fn a_misspelt_setting_is_found_with_the_one_that_was_meant() {
        let found = |name: &str, value: &str| {
            let (name, value) = (name.to_owned(), value.to_owned());
            unknown_among([(&name, &value)].into_iter()).pop().map(|unknown| unknown.nearest)
        };
        for (name, meant) in [
            ("POSTRIDER_LISTN", "POSTRIDER_LISTEN"),
            ("POSTRIDER_MASTER_KEY", "POSTRIDER_MASTER_KEYS"),
            ("POSTRIDER_MAX_INFLIGHT", "POSTRIDER_MAX_IN_FLIGHT"),
            ("POSTRIDER_POOL_SIZE", "POSTRIDER_DB_POOL_SIZE"),
            ("POSTRIDER_DATABASE_URL", "DATABASE_URL"),
            ("POSTRIDER_REDIS_URL", "REDIS_URL"),
        ] {
            assert_eq!(found(name, "x"), Some(Some(meant.to_owned())), "{name}");
        }
        assert_eq!(found("POSTRIDER_WEATHER_FORECAST", "x"), Some(None));
        let of_commands = ["POSTRIDER_SERVER", "POSTRIDER_KEY", "POSTRIDER_KEY_FILE", "POSTRIDER_TENANT"];
        let fine = [("POSTRIDER_LISTEN", "x"), ("PATH", "x"), ("POSTRIDER_LISTN", ""), ("POSTRIDER_BIN", "x")];
        for (name, value) in fine.into_iter().chain(of_commands.map(|name| (name, "x"))) {
            assert_eq!(found(name, value), None, "{name}");
        }
    }

    #[test]
    fn what_kubernetes_sets_for_a_service_is_no_mistake() {
        let variables = [
            ("POSTRIDER_SERVICE_HOST", "10.0.0.1"),
            ("POSTRIDER_SERVICE_PORT", "8000"),
            ("POSTRIDER_SERVICE_PORT_HTTP", "8000"),
            ("POSTRIDER_PORT", "tcp://10.0.0.1:8000"),
            ("POSTRIDER_PORT_8000_TCP", "tcp://10.0.0.1:8000"),
            ("POSTRIDER_PORT_8000_TCP_ADDR", "10.0.0.1"),
            ("POSTRIDER_API_PORT_8000_TCP_PROTO", "tcp"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(unknown_among(variables.iter().map(|(name, value)| (name, value))), []);
    }
}
