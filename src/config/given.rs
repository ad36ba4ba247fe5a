//! What a user has set, and where. A blank value counts as not set, as `${NAME:-}` makes it in a compose file.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::declare::Declared;
use super::dotenv::{InvalidDotenv, read_dotenv};
use super::invalid::InvalidSettings;
use super::strict::StrictConfig;
use super::unknown::{UnknownSetting, unknown_among};
use super::{Config, DatabaseConfig, LogConfig, Profile, declared};
use crate::domain::keyring::Keyring;

/// In the order of precedence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The command itself, as `postrider dev` does.
    Command,
    Flag,
    Environment,
    Dotenv(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command => f.write_str("this command"),
            Self::Flag => f.write_str("flag"),
            Self::Environment => f.write_str("environment"),
            Self::Dotenv(path) => path.display().fmt(f),
        }
    }
}

#[derive(Clone, Default)]
pub struct Settings {
    given: BTreeMap<String, (String, Source)>,
    unknown: Vec<UnknownSetting>,
}

/// Hides values, which may be secrets.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Settings(not shown)")
    }
}

impl Settings {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.given(name).map(|(value, _)| value)
    }

    pub fn given(&self, name: &str) -> Option<(&str, &Source)> {
        self.given.get(name).map(|(value, source)| (value.as_str(), source))
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.set_from(Source::Command, name, value);
    }

    pub(super) fn set_from(&mut self, source: Source, name: &str, value: &str) {
        if value.trim().is_empty() {
            self.given.remove(name);
        } else {
            self.given.insert(name.to_owned(), (value.to_owned(), source));
        }
    }

    pub fn unset(&mut self, name: &str) {
        self.given.remove(name);
    }

    /// Adds what the environment and `.env` set and no flag does.
    pub fn with_environment(&self) -> Result<Self, InvalidDotenv> {
        let dotenv = read_dotenv()?;
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())));
        Ok(self.over(&environment.collect(), dotenv.path, &dotenv.values))
    }

    fn over(&self, environment: &BTreeMap<String, String>, path: PathBuf, dotenv: &BTreeMap<String, String>) -> Self {
        let mut all = self.clone();
        for name in declared().iter().flat_map(Declared::names).filter(|name| self.get(name).is_none()) {
            for (source, values) in [(Source::Environment, environment), (Source::Dotenv(path.clone()), dotenv)] {
                if let (None, Some(value)) = (all.get(name), values.get(name)) {
                    all.set_from(source, name, value);
                }
            }
        }
        all.unknown = unknown_among(dotenv.iter().chain(environment));
        all
    }

    /// Variables that look like settings and are none.
    pub fn unknown(&self) -> &[UnknownSetting] {
        &self.unknown
    }

    /// For commands that need only the database.
    pub fn database(&self) -> Result<DatabaseConfig, InvalidSettings> {
        DatabaseConfig::read(self, Profile::Production)
    }

    pub fn log(&self) -> Result<LogConfig, InvalidSettings> {
        LogConfig::read(self, Profile::Production)
    }

    /// Whether what is probably a mistake stops a command.
    pub fn is_strict(&self) -> Result<bool, InvalidSettings> {
        Ok(StrictConfig::read(self, Profile::Production)?.strict)
    }

    /// For commands that use the master keys only to check them; `None` also if they are invalid.
    pub fn keyring(&self) -> Option<Keyring> {
        let text = self.secret("POSTRIDER_MASTER_KEYS", "POSTRIDER_MASTER_KEYS_FILE").ok()??;
        Keyring::parse(&text).ok()
    }

    /// Before it is checked.
    pub fn redis_url(&self) -> Option<String> {
        self.secret("REDIS_URL", "REDIS_URL_FILE").ok()?
    }

    /// Checks everything and fills in the defaults of the profile.
    pub fn resolve(&self, profile: Profile) -> Result<Config, InvalidSettings> {
        let config = Config::read(self, profile)?;
        InvalidSettings(config.check(self)).none_or(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_comes_before_the_environment_and_that_before_the_file_and_a_blank_value_counts_nowhere() {
        let map =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let mut flags = Settings::default();
        flags.set_from(Source::Flag, "POSTRIDER_LISTEN", "127.0.0.1:1");
        flags.set_from(Source::Flag, "POSTRIDER_AUTH", "");
        let environment = map(&[
            ("POSTRIDER_LISTEN", "127.0.0.1:2"),
            ("POSTRIDER_OPS_LISTEN", "127.0.0.1:2"),
            ("POSTRIDER_LOG", " "),
            ("POSTRIDER_LEASE", ""),
            ("PATH", "/"),
        ]);
        let dotenv = map(&[
            ("POSTRIDER_LISTEN", "127.0.0.1:3"),
            ("POSTRIDER_OPS_LISTEN", "127.0.0.1:3"),
            ("POSTRIDER_LOG", "warn"),
            ("DATABASE_URL_FILE", ""),
        ]);
        let settings = flags.over(&environment, "/x/.env".into(), &dotenv);
        let found = |name| settings.given(name).map(|(value, source)| format!("{value} {source}"));
        assert_eq!(found("POSTRIDER_LISTEN").as_deref(), Some("127.0.0.1:1 flag"));
        assert_eq!(found("POSTRIDER_OPS_LISTEN").as_deref(), Some("127.0.0.1:2 environment"));
        assert_eq!(found("POSTRIDER_LOG").as_deref(), Some("warn /x/.env"));
        for unset in ["POSTRIDER_AUTH", "POSTRIDER_LEASE", "DATABASE_URL_FILE", "PATH"] {
            assert_eq!(found(unset), None, "{unset}");
        }
    }
}
