//! A payload, parsed so that fields are found without reading it again.

use std::borrow::Cow;

use bytes::Bytes;

use crate::domain::payload::MAX_DEPTH;

/// The values of a JSON document in their order, by position in its text. 12 bytes for each value; nothing is copied.
#[derive(Debug)]
pub(super) struct Document {
    text: Bytes,
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    start: u32,
    end: u32,
    /// Number of the next value that is not inside this one.
    after: u32,
}

/// A value of a document, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ValueId(u32);

/// What begins a document.
pub(super) const WHOLE: ValueId = ValueId(0);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Number,
    Text,
    Array,
    Object,
}

impl Document {
    /// Of bytes that were checked to be JSON; others give `None` or a document without sense.
    pub(super) fn parse(text: Bytes) -> Option<Self> {
        u32::try_from(text.len()).ok()?;
        let (mut nodes, mut open, mut at) = (Vec::new(), Vec::new(), 0);
        while let Some(byte) = text.get(at) {
            match byte {
                b'{' | b'[' => {
                    if open.len() >= MAX_DEPTH {
                        return None;
                    }
                    open.push(nodes.len());
                    nodes.push(Node::new(at, at + 1, nodes.len() + 1));
                    at += 1;
                }
                b'}' | b']' => {
                    let (opened, after) = (open.pop()?, nodes.len());
                    at += 1;
                    let node: &mut Node = nodes.get_mut(opened)?;
                    *node = Node { end: small(at), after: small(after), ..*node };
                }
                b' ' | b'\t' | b'\n' | b'\r' | b',' | b':' => at += 1,
                _ => {
                    let rest = text.get(at..)?;
                    let end = at + if *byte == b'"' { text_length(rest)? } else { word_length(rest) };
                    nodes.push(Node::new(at, end, nodes.len() + 1));
                    at = end;
                }
            }
        }
        (open.is_empty() && !nodes.is_empty()).then_some(Self { text, nodes })
    }

    fn node(&self, value: ValueId) -> Node {
        self.nodes.get(value.0 as usize).copied().unwrap_or(Node::new(0, 0, 0))
    }

    /// As it stands in the document; a text has its quotes.
    pub(super) fn raw(&self, value: ValueId) -> &str {
        let Node { start, end, .. } = self.node(value);
        let bytes = self.text.get(start as usize..end as usize).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    pub(super) fn kind(&self, value: ValueId) -> Kind {
        match self.text.get(self.node(value).start as usize) {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::Text,
            Some(b't') => Kind::Bool(true),
            Some(b'f') => Kind::Bool(false),
            Some(b'-' | b'0'..=b'9') => Kind::Number,
            _ => Kind::Null,
        }
    }

    /// The text, without escapes; `None` if it is not Unicode, as `"\ud800"`, which equals nothing.
    pub(super) fn text(&self, value: ValueId) -> Option<Cow<'_, str>> {
        let raw = self.raw(value);
        if raw.contains('\\') {
            return serde_json::from_str::<String>(raw).ok().map(Into::into);
        }
        raw.strip_prefix('"')?.strip_suffix('"').map(Into::into)
    }

    pub(super) fn length(&self, value: ValueId) -> usize {
        let Node { start, end, .. } = self.node(value);
        end.saturating_sub(start) as usize
    }

    /// Of an array its elements; of an object names and values in turn.
    pub(super) fn children(&self, value: ValueId) -> impl Iterator<Item = ValueId> {
        let end = self.node(value).after;
        let mut next = value.0 + 1;
        std::iter::from_fn(move || {
            let child = ValueId(next);
            if next >= end {
                return None;
            }
            next = self.node(child).after.max(next + 1);
            Some(child)
        })
    }

    /// The value that follows a name.
    pub(super) fn value_of(&self, name: ValueId) -> Option<ValueId> {
        let next = ValueId(name.0 + 1);
        ((next.0 as usize) < self.nodes.len()).then_some(next)
    }

    /// Names and values of an object.
    pub(super) fn members(&self, object: ValueId) -> impl Iterator<Item = (ValueId, ValueId)> {
        let mut children = self.children(object);
        std::iter::from_fn(move || Some((children.next()?, children.next()?)))
    }
}

impl Node {
    fn new(start: usize, end: usize, after: usize) -> Self {
        Self { start: small(start), end: small(end), after: small(after) }
    }
}

/// A position of a text whose length was checked.
fn small(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

/// With both quotes.
fn text_length(rest: &[u8]) -> Option<usize> {
    let mut is_escaped = false;
    for (position, byte) in rest.iter().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return Some(position + 1),
            _ => {}
        }
    }
    None
}

/// Of a number, `true`, `false` or `null`.
fn word_length(rest: &[u8]) -> usize {
    let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r' | b':');
    rest.iter().position(is_end).unwrap_or(rest.len()).max(1)
}
