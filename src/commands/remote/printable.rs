//! Text of servers and strangers on a terminal: nothing in it may move the cursor, change a colour, set a title or turn
//! the direction of what is read.

use std::borrow::Cow;

use serde_json::Value;

/// On one line; what a terminal would act upon is shown as in `\u{1b}`.
pub(in crate::commands) fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hostile(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

/// JSON that says the same, with escapes for what a terminal would act upon. JSON itself has no such character outside
/// of strings except line breaks and tabs.
pub(in crate::commands) fn printable_json(text: &str) -> Cow<'_, str> {
    let is_kept = |c: char| matches!(c, '\n' | '\t') || !is_hostile(c);
    if text.chars().all(is_kept) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_kept(c) { shown.push(c) } else { shown.push_str(&format!("\\u{:04x}", u32::from(c))) }
    }
    Cow::Owned(shown)
}

/// A value of the API on one line; nothing for null.
pub(in crate::commands) fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => printable(text).into_owned(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().map(shown).collect::<Vec<_>>().join(", ")
        }
        other => printable(&other.to_string()).into_owned(),
    }
}

/// `1 delivery`, `2 deliveries`.
pub(super) fn deliveries(count: u64) -> String {
    if count == 1 { "1 delivery".to_owned() } else { format!("{count} deliveries") }
}

/// Control characters, and those that change the direction or the lines of a text. All are in the first plane.
fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_act_upon_is_shown_and_the_rest_stays() {
        assert_eq!(printable("Zoë 東京 🚚 \"x\" \\"), "Zoë 東京 🚚 \"x\" \\");
        assert_eq!(printable("a\x1b[31mb\x07\r\n\t\x7f"), "a\\u{1b}[31mb\\u{7}\\r\\n\\t\\u{7f}");
        assert_eq!(
            printable("\u{9b}31m \u{202e}gpj.exe \u{2066}x\u{feff}"),
            "\\u{9b}31m \\u{202e}gpj.exe \\u{2066}x\\u{feff}"
        );
    }

    #[test]
    fn escaped_json_means_the_same() {
        let text = "{\n\t\"a\": \"\u{9b}31m\u{7f}\u{202e} Zoë\"}";
        let shown = printable_json(text);
        assert!(!shown.chars().any(|c| is_hostile(c) && c != '\n' && c != '\t'), "{shown}");
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), serde_json::from_str::<Value>(text).unwrap());
    }
}
