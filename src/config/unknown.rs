//! Finds environment variables that look like misspelt settings.

use super::Config;
use super::declare::Declared;

/// Of every setting except URLs.
const PREFIX: &str = "POSTRIDER_";
/// Maximum edits between a misspelt and the intended name.
const MOST_DIFFERENCES: usize = 4;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownSetting {
    pub name: String,
    pub nearest: Option<String>,
}

/// Includes variables from `.env`.
pub fn unknown_settings() -> Vec<UnknownSetting> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    unknown_among(names)
}

fn unknown_among(names: impl Iterator<Item = String>) -> Vec<UnknownSetting> {
    let known = known_names();
    let mut unknown: Vec<String> = names.filter(|name| name.starts_with(PREFIX) && !known.contains(name)).collect();
    unknown.sort();
    unknown.into_iter().map(|name| UnknownSetting { nearest: nearest(&name, &known), name }).collect()
}

fn known_names() -> Vec<String> {
    Config::declared().iter().flat_map(Declared::names).map(str::to_owned).collect()
}

fn nearest(name: &str, known: &[String]) -> Option<String> {
    let (difference, nearest) = known.iter().map(|candidate| (differences(name, candidate), candidate)).min()?;
    (difference <= MOST_DIFFERENCES).then(|| nearest.clone())
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
        let names = ["POSTRIDER_LISTEN", "POSTRIDER_LISTN", "POSTRIDER_WEATHER_FORECAST", "PATH"];
        let unknown = unknown_among(names.map(str::to_owned).into_iter());
        let nearest = |name: &str, nearest: Option<&str>| UnknownSetting {
            name: name.to_owned(),
            nearest: nearest.map(str::to_owned),
        };
        let expected =
            [nearest("POSTRIDER_LISTN", Some("POSTRIDER_LISTEN")), nearest("POSTRIDER_WEATHER_FORECAST", None)];
        assert_eq!(unknown, expected);
    }
}
