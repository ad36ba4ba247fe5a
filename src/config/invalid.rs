//! What is wrong with settings: all of it at once, each with the rule, an example and the value, but never a secret.

use std::fmt;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum InvalidSetting {
    #[error("{0} is not set: {1}")]
    Missing(&'static str, &'static str),
    #[error("{0}: {1}")]
    Rule(&'static str, String),
    #[error("{name} names {path}, which cannot be read: {source}", path = path.display())]
    File { name: &'static str, path: PathBuf, source: std::io::Error },
    /// Found by whoever uses the value; names the setting.
    #[error("{0}")]
    Unusable(String),
}

impl InvalidSetting {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Missing(name, _) | Self::Rule(name, _) | Self::File { name, .. } => name,
            Self::Unusable(_) => "",
        }
    }
}

/// At least one.
#[derive(Debug, Default)]
pub struct InvalidSettings(pub Vec<InvalidSetting>);

impl InvalidSettings {
    /// The value, or `None` after keeping what is wrong with it.
    pub(super) fn take<T, E: Into<Self>>(&mut self, read: Result<T, E>) -> Option<T> {
        read.map_err(|invalid| self.0.extend(invalid.into().0)).ok()
    }

    pub(super) fn none_or<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl From<InvalidSetting> for InvalidSettings {
    fn from(invalid: InvalidSetting) -> Self {
        Self(vec![invalid])
    }
}

impl std::error::Error for InvalidSettings {}

impl fmt::Display for InvalidSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.0.as_slice() {
            return only.fmt(f);
        }
        write!(f, "{} settings are invalid:", self.0.len())?;
        self.0.iter().try_for_each(|invalid| write!(f, "\n  {invalid}"))
    }
}
