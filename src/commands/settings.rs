//! `postrider settings` explains settings and shows their values.

use std::sync::Arc;

use clap::Args;

use super::Failure;
use super::output::print;
use crate::api::ShownSetting;
use crate::config::{DescribedSetting, Profile, Settings, described, find_setting};

/// What to explain.
#[derive(Debug, Args)]
pub struct Explain {
    /// Its variable, or its flag without the dashes; all settings if it is left out
    name: Option<String>,
}

pub(super) fn run(settings: &Settings, explain: &Explain) -> Result<(), Failure> {
    let all = described(settings, Profile::Production);
    let Some(name) = &explain.name else {
        print(
            "Values of this folder and environment; `dev` has defaults of its own. A blank value counts as not set.\n",
        )?;
        all.iter().try_for_each(|setting| print(format_args!("{}\n", short(setting))))?;
        return settings.unknown().iter().try_for_each(|unknown| print(format_args!("warning: {unknown}")));
    };
    let found = find_setting(name).map_err(|nearest| {
        let nearest =
            nearest.map_or("`postrider settings` shows all".to_owned(), |name| format!("did you mean {name}?"));
        Failure::new(format!("{name} is not a setting: {nearest}"))
    })?;
    all.iter().filter(|setting| setting.name == found).try_for_each(|setting| print(long(setting)))
}

/// What operators see over the API.
pub(super) fn shown(settings: &Settings, profile: Profile) -> Arc<[ShownSetting]> {
    let show =
        |setting: DescribedSetting| ShownSetting { name: setting.name, source: source(&setting), value: setting.value };
    described(settings, profile).into_iter().map(show).collect()
}

fn short(setting: &DescribedSetting) -> String {
    let mut text = format!("{} = {}  ({})", setting.name, setting.value, source(setting));
    text.push_str(&format!("\n    {}", setting.help));
    if let Some(invalid) = &setting.invalid {
        text.push_str(&format!("\n    INVALID: {invalid}"));
    }
    text
}

fn long(setting: &DescribedSetting) -> String {
    let mut text = format!("{}\n\n  {}\n\n", setting.name, setting.help);
    let file = setting
        .file_name
        .map(|name| format!("{name} (or {} VALUE): a file that holds it", setting.flag.clone() + "-file"));
    let rows = [
        ("value", Some(setting.value.clone())),
        ("from", Some(source(setting))),
        ("invalid", setting.invalid.clone()),
        ("flag", Some(format!("{} VALUE", setting.flag))),
        ("file", file),
    ];
    let rows: Vec<String> =
        rows.into_iter().filter_map(|(name, value)| Some(format!("  {name:8} {}", value?))).collect();
    text.push_str(&rows.join("\n"));
    text
}

fn source(setting: &DescribedSetting) -> String {
    setting.source.as_ref().map_or("default".to_owned(), ToString::to_string)
}
