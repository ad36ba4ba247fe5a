//! Declares settings: `--help`, the configuration's field and the error message come from one declaration.

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::{Config, InvalidSetting, Profile, Settings};

type Read<T> = Box<dyn Fn(&str) -> Result<T, String>>;

pub(super) struct Rule<T> {
    /// For `--help`; may be empty.
    pub(super) says: String,
    /// The error is a sentence that begins with `must`.
    pub(super) read: Read<T>,
    /// A secret is never shown, may be in a file, and counts as missing if it is empty.
    pub(super) is_secret: bool,
}

pub(super) enum Default {
    Value(&'static str),
    ByProfile(&'static str, &'static str),
    Unset(&'static str),
    Required(&'static str),
}

pub(super) struct Declared {
    pub(super) name: &'static str,
    file_name: Option<&'static str>,
    help: String,
    #[cfg_attr(not(test), expect(dead_code, reason = "compared with .env.example"))]
    pub(super) default: Option<&'static str>,
}

/// A group of settings: a struct of their values, after the groups in it.
macro_rules! settings {
    (
        $(#[$struct_doc:meta])* $struct:ident { $($(#[$group_doc:meta])* $group:ident: $group_type:ty,)* }
        $($(#[doc = $doc:literal])+ $field:ident: $type:ty = $name:literal, $rule:expr, $default:expr;)*
    ) => {
        $(#[$struct_doc])*
        #[derive(Debug, Clone)]
        pub struct $struct {
            $($(#[$group_doc])* pub $group: $group_type,)*
            $($(#[doc = $doc])+ pub $field: $type,)*
        }

        impl $struct {
            pub(in $crate::config) fn declared() -> Vec<$crate::config::declare::Declared> {
                use $crate::config::declare::{Declared, Default};
                let mut all: Vec<Declared> = Vec::new();
                $(all.extend(<$group_type>::declared());)*
                $(all.push(Declared::new(
                    [$name, concat!($name, "_FILE")], concat!($($doc),+), &{ let rule: $crate::config::declare::Rule<$type> = $rule; rule }, &$default,
                ));)*
                all
            }

            pub(in $crate::config) fn read(
                settings: &$crate::config::Settings,
                profile: $crate::config::Profile,
            ) -> Result<Self, $crate::config::InvalidSetting> {
                use $crate::config::declare::Default;
                Ok(Self {
                    $($group: <$group_type>::read(settings, profile)?,)*
                    $($field: settings.value([$name, concat!($name, "_FILE")], &$rule, &$default, profile)?,)*
                })
            }
        }
    };
}
pub(super) use settings;

impl Declared {
    pub(super) fn new<T>(names: [&'static str; 2], doc: &str, rule: &Rule<T>, default: &Default) -> Self {
        let [name, file_name] = names;
        let mut help = doc.trim().trim_end_matches('.').to_owned();
        if !rule.says.is_empty() {
            help.push_str(&format!("; {}", rule.says));
        }
        match default {
            Default::Value("") => help.push_str(" [default: none]"),
            Default::Value(text) | Default::Unset(text) => help.push_str(&format!(" [default: {text}]")),
            Default::ByProfile(usual, dev) => help.push_str(&format!(" [default: {usual}; in dev {dev}]")),
            Default::Required(_) => {}
        }
        let value = match default {
            Default::Value(text) | Default::ByProfile(text, _) => Some(*text),
            Default::Unset(_) | Default::Required(_) => None,
        };
        Self { name, file_name: rule.is_secret.then_some(file_name), help, default: value }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        [Some(self.name), self.file_name].into_iter().flatten()
    }

    fn args(&self) -> impl Iterator<Item = Arg> {
        let arg = |name: &'static str, help: String| {
            let flag = name.trim_start_matches("POSTRIDER_").to_lowercase().replace('_', "-");
            let arg = Arg::new(name).long(flag).env(name).value_name(name).help(help).global(true);
            arg.hide_env_values(self.file_name.is_some())
        };
        let file = self.file_name.map(|name| arg(name, format!("File to read {} from", self.name)));
        [Some(arg(self.name, self.help.clone())), file].into_iter().flatten()
    }
}

impl Settings {
    pub(super) fn value<T>(
        &self,
        [name, file_name]: [&'static str; 2],
        rule: &Rule<T>,
        default: &Default,
        profile: Profile,
    ) -> Result<T, InvalidSetting> {
        let given = if rule.is_secret { self.secret(name, file_name)? } else { self.get(name).map(str::to_owned) };
        let text = match (&given, default) {
            (Some(text), _) => text,
            (None, Default::Value(text)) => *text,
            (None, Default::ByProfile(usual, _)) if profile == Profile::Production => *usual,
            (None, Default::ByProfile(_, dev)) => *dev,
            (None, Default::Unset(_)) => "",
            (None, Default::Required(why)) => return Err(InvalidSetting::Missing(name, why)),
        };
        (rule.read)(text).map_err(|must| {
            let got = if rule.is_secret { String::new() } else { format!(" (got {text:?})") };
            InvalidSetting::Rule(name, format!("{must}{got}"))
        })
    }

    /// From the setting itself or its file.
    fn secret(&self, name: &'static str, file_name: &'static str) -> Result<Option<String>, InvalidSetting> {
        if let Some(value) = self.get(name).filter(|value| !value.is_empty()) {
            return Ok(Some(value.to_owned()));
        }
        let Some(path) = self.get(file_name) else { return Ok(None) };
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|source| InvalidSetting::File { name: file_name, path: path.into(), source })?;
        Ok(Some(text.trim().to_owned()).filter(|value| !value.is_empty()))
    }
}

impl Args for Settings {
    fn augment_args(command: Command) -> Command {
        command.args(Config::declared().iter().flat_map(Declared::args))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut settings = Self::default();
        settings.update_from_arg_matches(matches)?;
        Ok(settings)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for name in Config::declared().iter().flat_map(Declared::names) {
            if let Some(value) = matches.get_one::<String>(name) {
                self.set(name, value);
            }
        }
        Ok(())
    }
}
