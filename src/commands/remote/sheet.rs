//! One object for people: a line for each field, what names it first, nested objects last and indented. Fields that a
//! newer server adds are shown like the others.

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::printable::{printable, shown};
use super::when::distance;

const INDENT: usize = 2;
/// Deeper objects are shown as JSON.
const MAX_DEPTH: usize = 6;
const LEADING: [&str; 7] = ["id", "webhook_id", "external_id", "name", "event_type", "status", "reason"];

/// Without a line break at the end.
pub(super) fn sheet(value: &Value, now: OffsetDateTime) -> String {
    let mut lines = Vec::new();
    match value {
        Value::Object(fields) => object(fields, 0, now, &mut lines),
        other => lines.push(shown(other)),
    }
    lines.join("\n")
}

fn object(fields: &Map<String, Value>, depth: usize, now: OffsetDateTime, lines: &mut Vec<String>) {
    let width = fields
        .iter()
        .filter(|(_, value)| !is_nested(value, depth))
        .map(|(name, _)| printable(name).chars().count())
        .max();
    let (width, margin) = (width.unwrap_or_default(), " ".repeat(depth * INDENT));
    let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
    // Stable: the rest stays in the order of names.
    fields.sort_by_key(|(name, value)| {
        (is_nested(value, depth), LEADING.iter().position(|leading| leading == name).unwrap_or(LEADING.len()))
    });
    for (name, value) in fields {
        let name = printable(name);
        if !is_nested(value, depth) {
            let line = format!("{margin}{name:width$}  {}", text(value, now));
            lines.push(line.trim_end().to_owned());
            continue;
        }
        lines.push(format!("{margin}{name}"));
        nested(value, depth + 1, now, lines);
    }
}

fn nested(value: &Value, depth: usize, now: OffsetDateTime, lines: &mut Vec<String>) {
    match value {
        Value::Object(fields) => object(fields, depth, now, lines),
        Value::Array(items) => {
            for item in items {
                let begin = lines.len();
                match item {
                    Value::Object(fields) if depth < MAX_DEPTH => object(fields, depth + 1, now, lines),
                    other => lines.push(format!("{}{}", " ".repeat((depth + 1) * INDENT), text(other, now))),
                }
                // The first line of an item is marked.
                if let Some(line) = lines.get_mut(begin) {
                    line.replace_range(depth * INDENT..=depth * INDENT, "-");
                }
            }
        }
        other => lines.push(format!("{}{}", " ".repeat(depth * INDENT), text(other, now))),
    }
}

fn is_nested(value: &Value, depth: usize) -> bool {
    match value {
        Value::Object(fields) => !fields.is_empty() && depth < MAX_DEPTH,
        Value::Array(items) => items.iter().any(|item| !item.is_string()) && depth < MAX_DEPTH,
        _ => false,
    }
}

/// A time has its distance from now beside it.
fn text(value: &Value, now: OffsetDateTime) -> String {
    let text = match value {
        Value::Object(fields) if fields.is_empty() => String::new(),
        other => shown(other),
    };
    match OffsetDateTime::parse(&text, &Rfc3339) {
        Ok(_) => format!("{text} ({})", distance(&text, now)),
        Err(_) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use time::macros::datetime;

    #[test]
    fn every_field_has_its_line_and_nothing_speaks_to_the_terminal() {
        let value = json!({
            "id": "a", "status": null, "at": "2026-11-28T11:59:00Z", "types": ["x", "y"], "metadata": {},
            "counts": { "failed": 1, "sent": 20 },
            "rows": [{ "id": 1, "body": "\u{1b}[2J\n" }, { "id": 2, "deeper": { "a": true } }],
            "na\u{1b}me": "v",
        });
        let shown = sheet(&value, datetime!(2026-11-28 12:00 UTC));
        let expected = "\
id          a
status
at          2026-11-28T11:59:00Z (1m ago)
metadata
na\\u{1b}me  v
types       x, y
counts
  failed  1
  sent    20
rows
  - id    1
    body  \\u{1b}[2J\\n
  - id  2
    deeper
      a  true";
        assert_eq!(shown, expected);
    }
}
