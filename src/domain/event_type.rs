//! Event types and the patterns with which a subscription selects them.

use std::fmt;
use std::str::FromStr;

pub(crate) const MAX_EVENT_TYPE_LENGTH: usize = 128;
pub(crate) const MAX_EVENT_TYPES: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEventType {
    #[error("must not be empty")]
    Empty,
    #[error("must be at most {MAX_EVENT_TYPE_LENGTH} characters")]
    TooLong,
    #[error("must be segments of ASCII letters, digits, '_' or '-', separated by single dots")]
    Characters,
}

/// A type such as `order.created`; case-sensitive.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventType(String);

impl EventType {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EventType {
    type Err = InvalidEventType;

    fn from_str(text: &str) -> Result<Self, InvalidEventType> {
        check_segments(text)?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An entry of a subscription's `event_types`: a name, `prefix.*`, or `*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventTypePattern(String);

impl EventTypePattern {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// `order.*` matches every type below `order.`, at any depth, but not `order` itself.
    pub(crate) fn matches(&self, event_type: &EventType) -> bool {
        match self.0.strip_suffix('*') {
            Some(prefix) => event_type.0.starts_with(prefix),
            None => self.0 == event_type.0,
        }
    }
}

impl FromStr for EventTypePattern {
    type Err = InvalidEventType;

    fn from_str(text: &str) -> Result<Self, InvalidEventType> {
        if text != "*" {
            check_segments(text.strip_suffix(".*").unwrap_or(text))?;
        }
        if text.chars().count() > MAX_EVENT_TYPE_LENGTH {
            return Err(InvalidEventType::TooLong);
        }
        Ok(Self(text.to_owned()))
    }
}

/// Why a filter rejects an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotWanted {
    /// The filter names types, and the event has none.
    TypeMissing,
    TypeNotWanted,
}

/// The event types of a subscription; empty = all events, also those without a type.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct EventTypeFilter(Vec<EventTypePattern>);

impl EventTypeFilter {
    /// Removes duplicates and keeps the order.
    pub fn new(patterns: Vec<EventTypePattern>) -> Self {
        let mut kept: Vec<EventTypePattern> = Vec::with_capacity(patterns.len());
        for pattern in patterns {
            if !kept.contains(&pattern) {
                kept.push(pattern);
            }
        }
        Self(kept)
    }

    pub(crate) fn stored(patterns: &[String]) -> Result<Self, InvalidEventType> {
        patterns.iter().map(|text| text.parse()).collect::<Result<_, _>>().map(Self::new)
    }

    pub(crate) fn wants_all(&self) -> bool {
        self.0.is_empty()
    }

    pub fn wants(&self, event_type: &EventType) -> bool {
        self.wants_all() || self.0.iter().any(|pattern| pattern.matches(event_type))
    }

    pub(crate) fn check(&self, event_type: Option<&EventType>) -> Result<(), NotWanted> {
        match event_type {
            None if self.wants_all() => Ok(()),
            None => Err(NotWanted::TypeMissing),
            Some(name) if self.wants(name) => Ok(()),
            Some(_) => Err(NotWanted::TypeNotWanted),
        }
    }

    /// Only a full name selects a system event: patterns are for the producer's own types.
    pub(crate) fn asks_for_system_event(&self, event_type: &EventType) -> bool {
        self.0.iter().any(|pattern| pattern.0 == event_type.0)
    }

    /// A type that it wants, for a test event.
    pub(crate) fn example(&self) -> EventType {
        let first = self.0.first().map_or("*", EventTypePattern::as_str);
        match first.strip_suffix("*") {
            Some("") => EventType("postrider.test".to_owned()),
            // A prefix leaves at least one character.
            Some(prefix) if prefix.len() + "test".len() > MAX_EVENT_TYPE_LENGTH => EventType(format!("{prefix}t")),
            Some(prefix) => EventType(format!("{prefix}test")),
            None => EventType(first.to_owned()),
        }
    }

    pub(crate) fn patterns(&self) -> &[EventTypePattern] {
        &self.0
    }
}

fn check_segments(text: &str) -> Result<(), InvalidEventType> {
    if text.is_empty() {
        return Err(InvalidEventType::Empty);
    }
    if text.chars().count() > MAX_EVENT_TYPE_LENGTH {
        return Err(InvalidEventType::TooLong);
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let well_formed = text.split('.').all(|segment| !segment.is_empty() && segment.chars().all(legal));
    if well_formed { Ok(()) } else { Err(InvalidEventType::Characters) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(patterns: &[&str]) -> EventTypeFilter {
        EventTypeFilter::new(patterns.iter().map(|p| p.parse().unwrap()).collect())
    }

    fn wants(patterns: &[&str], event_type: &str) -> bool {
        filter(patterns).wants(&event_type.parse().unwrap())
    }

    #[test]
    fn the_type_of_a_test_event_is_one_that_the_filter_wants() {
        let long = format!("{}.*", "a".repeat(126));
        for (patterns, expected) in [
            (vec![], "postrider.test"),
            (vec!["*"], "postrider.test"),
            (vec!["order.created", "invoice.*"], "order.created"),
            (vec!["invoice.*"], "invoice.test"),
            (vec![long.as_str()], &format!("{}.t", "a".repeat(126))),
        ] {
            let patterns: Vec<String> = patterns.into_iter().map(str::to_owned).collect();
            let filter = EventTypeFilter::stored(&patterns).unwrap();
            let example = filter.example();
            assert_eq!(example.as_str(), expected);
            assert!(filter.wants(&example) && example.as_str().parse::<EventType>().is_ok());
        }
    }

    #[test]
    fn a_name_matches_itself_and_case_counts() {
        assert!(wants(&["order.created"], "order.created"));
        assert!(!wants(&["order.created"], "Order.Created"));
        assert!(!wants(&["order.created"], "order.created.eu"));
    }

    #[test]
    fn a_prefix_matches_whole_segments_only() {
        assert!(wants(&["order.*"], "order.created"));
        assert!(wants(&["order.*"], "order.item.added"));
        assert!(!wants(&["order.*"], "orders.created"));
        assert!(!wants(&["order.*"], "order"));
        assert!(wants(&["*"], "anything.at.all"));
    }

    #[test]
    fn an_empty_filter_wants_all_and_duplicates_are_kept_once() {
        assert!(wants(&[], "a"));
        assert_eq!(filter(&["a.b", "a.b", "c"]).patterns().len(), 2);
    }

    #[test]
    fn system_events_are_for_those_who_name_them() {
        let asks =
            |patterns: &[&str]| filter(patterns).asks_for_system_event(&"subscription.disabled".parse().unwrap());
        assert!(asks(&["subscription.disabled"]) && asks(&["a", "subscription.disabled"]));
        assert!(
            !asks(&[])
                && !asks(&["*"])
                && !asks(&["subscription.*"])
                && !asks(&["subscription.failing", "subscription"])
        );
    }

    #[test]
    fn what_could_not_be_a_header_value_is_refused() {
        for text in ["", "a b", "a\r\nx: 1", "a\0b", ".a", "a.", "a..b", "é"] {
            assert!(text.parse::<EventType>().is_err(), "{text:?}");
        }
        assert_eq!("a".repeat(129).parse::<EventType>(), Err(InvalidEventType::TooLong));
        for text in ["order*", "*.created", "order.*.x", "**"] {
            assert!(text.parse::<EventTypePattern>().is_err(), "{text:?}");
        }
    }
}
