//! Rules that settings share: numbers, durations, lists, secrets.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::Private;
use super::declare::Rule;
use crate::domain::duration::parse_duration;

pub(super) fn text<T: FromStr<Err: Display>>() -> Rule<T> {
    Rule {
        says: String::new(),
        read: Box::new(|text| text.parse().map_err(|error: T::Err| error.to_string())),
        is_secret: false,
    }
}

pub(super) fn like<T: FromStr>(must: &'static str) -> Rule<T> {
    plain(String::new(), format!("must be {must}"), |text| text.parse().ok())
}

pub(super) fn number<T>(range: RangeInclusive<T>) -> Rule<T>
where
    T: FromStr + PartialOrd + Display + Copy + 'static,
{
    let says = format!("from {} to {}", range.start(), range.end());
    let must = format!("must be a number from {} to {}, as in {0}", range.start(), range.end());
    plain(says, must, move |text| text.trim().parse().ok().filter(|number| range.contains(number)))
}

pub(super) fn duration(least: &'static str, most: &'static str) -> Rule<Duration> {
    let range = (parse_duration(least), parse_duration(most));
    let must = format!("must be a duration from {least} to {most}, as in {least}");
    plain(format!("from {least} to {most}"), must, move |text| {
        let (Ok(least), Ok(most)) = range else { return None };
        parse_duration(text).ok().filter(|duration| (least..=most).contains(duration))
    })
}

pub(super) fn duration_or_never(least: &'static str, most: &'static str) -> Rule<Option<Duration>> {
    let within = duration(least, most);
    let must = format!("must be 0s, or a duration from {least} to {most}, as in {most}");
    plain(format!("from {least} to {most}, or 0s for never"), must, move |text| match parse_duration(text) {
        Ok(Duration::ZERO) => Some(None),
        _ => (within.read)(text).ok().map(Some),
    })
}

pub(super) fn boolean() -> Rule<bool> {
    like("true or false")
}

pub(super) fn one_of<T: Copy + 'static>(words: &'static [(&'static str, T)]) -> Rule<T> {
    let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
    let says = names.join(" or ");
    plain(says.clone(), format!("must be {says}"), |text| {
        words.iter().find(|(name, _)| *name == text).map(|(_, value)| *value)
    })
}

/// `None` if the value is missing.
pub(super) fn optional<T: 'static>(rule: Rule<T>) -> Rule<Option<T>> {
    let Rule { says, read, is_secret } = rule;
    let read = Box::new(move |text: &str| if text.is_empty() { Ok(None) } else { read(text).map(Some) });
    Rule { says, read, is_secret }
}

/// A value that is never shown.
pub(super) fn secret<T: 'static>(read: impl Fn(&str) -> Result<T, String> + 'static) -> Rule<T> {
    Rule { says: String::new(), read: Box::new(read), is_secret: true }
}

/// A URL that may contain a password; the client that connects checks it.
pub(super) fn secret_url() -> Rule<Private> {
    secret(|text| Ok(Private(text.to_owned())))
}

pub(super) fn plain<T>(says: String, must: String, read: impl Fn(&str) -> Option<T> + 'static) -> Rule<T> {
    Rule { says, read: Box::new(move |text| read(text).ok_or_else(|| must.clone())), is_secret: false }
}
