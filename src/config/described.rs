//! Settings as `postrider settings` shows them.

use super::declare::{Declared, flag};
use super::unknown::nearest;
use super::{Profile, Settings, Source, declared};

/// One setting: what it is for, and what it is now. Secrets are masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedSetting {
    pub name: &'static str,
    pub file_name: Option<&'static str>,
    pub flag: String,
    pub help: String,
    /// Its value, or the file it is read from.
    pub value: String,
    /// `None` for a default.
    pub source: Option<Source>,
    /// What is wrong with the value.
    pub invalid: Option<String>,
}

/// In the order of declaration.
pub fn described(settings: &Settings, profile: Profile) -> Vec<DescribedSetting> {
    let mut invalid = settings.resolve(profile).err().unwrap_or_default().0;
    invalid.extend(settings.remote().err().unwrap_or_default().0);
    let describe = |declared: &Declared| {
        let [name, file_name] = [Some(declared.name), declared.file_name];
        let mut given: Vec<_> =
            [name, file_name].into_iter().flatten().filter_map(|name| Some((name, settings.given(name)?))).collect();
        given.sort_by_key(|(_, (_, source))| (*source).clone());
        let (value, source) = match given.first() {
            Some((name, (path, source))) if Some(*name) == file_name => {
                (format!("(from the file {path})"), Some((*source).clone()))
            }
            Some((_, (_, source))) if declared.file_name.is_some() => ("********".to_owned(), Some((*source).clone())),
            Some((_, (value, source))) => ((*value).to_owned(), Some((*source).clone())),
            None => (declared.default_says(profile).to_owned(), None),
        };
        let concerns = |name: &str| name == declared.name || Some(name) == declared.file_name;
        let invalid = invalid.iter().find(|invalid| concerns(invalid.name())).map(ToString::to_string);
        DescribedSetting {
            name: declared.name,
            file_name: declared.file_name,
            flag: format!("--{}", flag(declared.name)),
            help: declared.help.clone(),
            value,
            source,
            invalid,
        }
    };
    declared().iter().map(describe).collect()
}

/// The setting of a variable or a flag, or the name that is most like it.
pub fn find_setting(name: &str) -> Result<&'static str, Option<String>> {
    let plain = |name: &str| flag(&name.trim_start_matches("--").to_uppercase().replace('-', "_"));
    let found = declared().into_iter().find(|declared| declared.names().any(|known| plain(known) == plain(name)));
    found.map(|declared| declared.name).ok_or_else(|| nearest(&name.to_uppercase().replace('-', "_")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_found_by_its_variable_and_by_its_flag_and_a_misspelt_one_by_likeness() {
        for name in ["POSTRIDER_LISTEN", "listen", "--listen", "LISTEN"] {
            assert_eq!(find_setting(name), Ok("POSTRIDER_LISTEN"), "{name}");
        }
        assert_eq!(find_setting("DATABASE_URL_FILE"), Ok("DATABASE_URL"));
        assert_eq!(find_setting("POSTRIDER_LISTN"), Err(Some("POSTRIDER_LISTEN".to_owned())));
        assert_eq!(find_setting("weather"), Err(None));
    }

    #[test]
    fn a_secret_is_masked_and_a_wrong_value_is_shown_with_its_rule() {
        let mut settings = Settings::default();
        settings.set("DATABASE_URL", "postgres://u:CANARY@h/d");
        settings.set("POSTRIDER_MASTER_KEYS_FILE", "/run/secrets/keys");
        settings.set("POSTRIDER_AUTH", "no");
        let all = described(&settings, Profile::Production);
        let of = |name: &str| all.iter().find(|setting| setting.name == name).unwrap();
        assert_eq!(of("DATABASE_URL").value, "********");
        assert_eq!(of("POSTRIDER_MASTER_KEYS").value, "(from the file /run/secrets/keys)");
        assert_eq!((of("POSTRIDER_AUTH").value.as_str(), &of("POSTRIDER_LOG").source), ("no", &None));
        assert!(of("POSTRIDER_AUTH").invalid.as_ref().unwrap().contains("must be keys or off"));
        assert!(!format!("{all:?}").contains("CANARY"));
        let in_dev = described(&Settings::default(), Profile::Development);
        let of = |name: &str| in_dev.iter().find(|setting| setting.name == name).unwrap().value.clone();
        assert_eq!((of("POSTRIDER_AUTH"), of("POSTRIDER_LISTEN")), ("off".to_owned(), "127.0.0.1:8000".to_owned()));
    }
}
