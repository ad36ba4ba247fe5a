//! Declares settings: help, flag, the configuration's field and the error message come from one declaration.

use clap::{Arg, ArgMatches, Command};

use super::{InvalidSetting, Profile, Settings, Source, declared};

type Read<T> = Box<dyn Fn(&str) -> Result<T, String>>;

pub(super) struct Rule<T> {
    /// For the help; may be empty.
    pub(super) says: String,
    /// The error is a sentence that begins with `must`.
    pub(super) read: Read<T>,
    /// A secret is never shown and may be in a file.
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
    pub(super) file_name: Option<&'static str>,
    pub(super) help: String,
    /// In words; outside and in `dev`.
    default_says: [&'static str; 2],
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
            ) -> Result<Self, $crate::config::InvalidSettings> {
                use $crate::config::declare::Default;
                let mut wrong = $crate::config::InvalidSettings::default();
                $(let $group = wrong.take(<$group_type>::read(settings, profile));)*
                $(let $field =
                    wrong.take(settings.value([$name, concat!($name, "_FILE")], &$rule, &$default, profile));)*
                match ($($group,)* $($field,)*) {
                    ($(Some($group),)* $(Some($field),)*) => Ok(Self { $($group,)* $($field,)* }),
                    _ => Err(wrong),
                }
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
        let default_says = match default {
            Default::Value(text) | Default::Unset(text) => [*text; 2],
            Default::ByProfile(usual, dev) => [*usual, *dev],
            Default::Required(_) => ["not set; required"; 2],
        }
        .map(|text| if text.is_empty() { "none" } else { text });
        Self { name, file_name: rule.is_secret.then_some(file_name), help, default_says, default: value }
    }

    pub(super) fn default_says(&self, profile: Profile) -> &'static str {
        let [usual, dev] = self.default_says;
        if profile == Profile::Development { dev } else { usual }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        [Some(self.name), self.file_name].into_iter().flatten()
    }

    /// Hidden: 60 settings would bury a command's own options. `postrider settings` shows them.
    fn args(&self) -> impl Iterator<Item = Arg> {
        self.names().map(|name| Arg::new(name).long(flag(name)).value_name("VALUE").hide(true))
    }
}

/// Without the dashes.
pub(super) fn flag(name: &str) -> String {
    name.trim_start_matches("POSTRIDER_").to_lowercase().replace('_', "-")
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
            let example = match default {
                Default::Value(text) | Default::ByProfile(text, _) if !text.is_empty() && !must.contains(" as ") => {
                    format!(", as in {text}")
                }
                Default::Required(why) => format!("; {why}"),
                _ => String::new(),
            };
            let got = if rule.is_secret { String::new() } else { format!(" (got {text:?})") };
            InvalidSetting::Rule(name, format!("{must}{example}{got}"))
        })
    }

    /// From the setting itself or its file: from whichever has precedence.
    pub(super) fn secret(&self, name: &str, file_name: &'static str) -> Result<Option<String>, InvalidSetting> {
        let (own, file) = (self.given(name), self.given(file_name));
        match (own, file) {
            (Some((value, source)), file) if file.is_none_or(|(_, of_file)| source <= of_file) => {
                Ok(Some(value.to_owned()))
            }
            (_, Some((path, _))) => {
                let text = std::fs::read_to_string(path);
                let text =
                    text.map_err(|source| InvalidSetting::File { name: file_name, path: path.into(), source })?;
                Ok(Some(text.trim().to_owned()).filter(|value| !value.is_empty()))
            }
            _ => Ok(None),
        }
    }
}

/// Gives a command and all below it a flag for each setting, unless it has an option of that name, as
/// `tenants create --max-subscriptions` is.
pub fn with_flags(command: Command) -> Command {
    let own: Vec<String> = command.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)).collect();
    let flags: Vec<Arg> = declared().iter().flat_map(Declared::args).collect();
    let is_free = |arg: &Arg| arg.get_long().is_none_or(|long| !own.iter().any(|own| own == long));
    command.args(flags.into_iter().filter(is_free)).mut_subcommands(with_flags)
}

impl Settings {
    /// Those that were given as flags, before or after the name of the command.
    pub fn from_flags(matches: &ArgMatches) -> Self {
        let mut settings = Self::default();
        let mut level = Some(matches);
        while let Some(matches) = level {
            for name in declared().iter().flat_map(Declared::names) {
                if let Ok(Some(value)) = matches.try_get_one::<String>(name) {
                    settings.set_from(Source::Flag, name, value);
                }
            }
            level = matches.subcommand().map(|(_, matches)| matches);
        }
        settings
    }
}
