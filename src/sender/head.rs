//! Reads the head of a response as browsers and curl do: the status line decides, and a line that breaks the rules is
//! skipped. hyper gets a clean head with the few fields that matter, so no sloppy server fails a delivery.
//!
//! It does not read bodies; hyper does, by the framing fields that are left here.

use std::fmt::Write as _;
use std::mem;

use crate::domain::detail::{KeepDetail, MAX_KEPT_BYTES, MAX_KEPT_FIELDS};

/// As Chromium has it; curl reads 300 KB. Lines are not kept, so a long head costs no memory.
const MAX_HEAD_BYTES: usize = 256 * 1_024;
/// A longer line is cut; no field that is read here needs more.
const MAX_LINE_BYTES: usize = 1_024;
/// Fields passed on, in all: with the shortest of them hyper still gets fewer lines than the 100 that it reads.
const MAX_PASSED_BYTES: usize = 1_280;
/// Of what came instead of a status line, enough to recognise the other protocol.
const MAX_SHOWN_BYTES: usize = 80;
const PROTOCOL: &[u8] = b"HTTP/";
const PASSED: [&str; 2] = ["retry-after", "webhook-delivery"];

/// Why no response can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadHead {
    /// What came instead, escaped and cut.
    #[error("no status line, but \"{0}\"")]
    NoStatusLine(String),
    #[error("more than {MAX_HEAD_BYTES} bytes")]
    TooLarge,
}

/// The head that hyper gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CleanHead {
    pub(super) bytes: Vec<u8>,
    /// A 1xx head: another one follows.
    pub(super) is_interim: bool,
    /// For the log, if it keeps this one.
    pub(super) kept: Option<KeptHead>,
}

/// The fields of a head as they came, within limits.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct KeptHead {
    /// Names in lower case, and values.
    pub(super) lines: Vec<(String, String)>,
    /// Whether there was more.
    pub(super) is_cut: bool,
    bytes: usize,
}

#[derive(Debug, Default)]
pub(super) struct HeadReader {
    keep: KeepDetail,
    read: usize,
    line: Vec<u8>,
    /// The line before, which a folded line continues.
    previous: Option<Vec<u8>>,
    fields: Option<Fields>,
}

/// What the lines said so far; exists from the status line on.
#[derive(Debug)]
struct Fields {
    status: u16,
    keeps_alive: bool,
    is_closing: bool,
    lengths: Vec<Option<u64>>,
    last_coding: Option<Vec<u8>>,
    passed: String,
    kept: Option<KeptHead>,
}

impl HeadReader {
    pub(super) fn new(keep: KeepDetail) -> Self {
        Self { keep, ..Self::default() }
    }

    /// Takes what it needs from the front of `bytes`. `None`: the head goes on.
    pub(super) fn feed(&mut self, bytes: &mut &[u8]) -> Result<Option<CleanHead>, BadHead> {
        while !bytes.is_empty() {
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            self.read += part.len() + usize::from(end.is_some());
            if self.read > MAX_HEAD_BYTES {
                return Err(BadHead::TooLarge);
            }
            let room = MAX_LINE_BYTES.saturating_sub(self.line.len());
            self.line.extend_from_slice(part.get(..room).unwrap_or(part));
            *bytes = rest.get(1..).unwrap_or_default();
            if end.is_none() {
                break;
            }
            if let Some(head) = self.end_line()? {
                return Ok(Some(head));
            }
        }
        // Other protocols may send no line end, and wait.
        let is_begun = self.line.iter().zip(PROTOCOL).all(|(byte, expected)| byte.eq_ignore_ascii_case(expected));
        if self.fields.is_some() || is_begun || self.line == b"\r" {
            return Ok(None);
        }
        Err(BadHead::NoStatusLine(shown(&self.line)))
    }

    fn end_line(&mut self) -> Result<Option<CleanHead>, BadHead> {
        let mut line = mem::take(&mut self.line);
        line.pop_if(|last| *last == b'\r');
        let Some(fields) = &mut self.fields else {
            // Some servers end a body with one line end too many.
            if !line.is_empty() {
                let mut fields = Fields::of_status_line(&line).ok_or_else(|| BadHead::NoStatusLine(shown(&line)))?;
                fields.kept = self.keep.keeps((200..300).contains(&fields.status)).then(KeptHead::default);
                self.fields = Some(fields);
            }
            return Ok(None);
        };
        if let (Some(b' ' | b'\t'), Some(previous)) = (line.first(), &mut self.previous) {
            let room = MAX_LINE_BYTES.saturating_sub(previous.len());
            previous.extend(line.into_iter().take(room));
            return Ok(None);
        }
        if let Some(previous) = self.previous.take() {
            fields.read(&previous);
        }
        if !line.is_empty() {
            self.previous = Some(line);
            return Ok(None);
        }
        let whole = mem::replace(self, Self::new(self.keep));
        Ok(whole.fields.map(Fields::clean))
    }
}

impl Fields {
    fn of_status_line(line: &[u8]) -> Option<Self> {
        let (protocol, rest) = line.split_at_checked(PROTOCOL.len())?;
        let blank = rest.iter().position(|byte| *byte == b' ')?;
        let (version, rest) = rest.split_at_checked(blank)?;
        let rest = rest.trim_ascii_start();
        let (digits, reason) = rest.split_at_checked(3)?;
        let is_version = version.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.') && !version.is_empty();
        let is_whole = reason.first().is_none_or(|byte| matches!(byte, b' ' | b'\t'));
        if !protocol.eq_ignore_ascii_case(PROTOCOL) || !is_version || !is_whole {
            return None;
        }
        let status = std::str::from_utf8(digits).ok()?.parse().ok().filter(|status| (100..=999).contains(status))?;
        let (lengths, passed, keeps_alive) = (Vec::new(), String::new(), version != b"1.0");
        Some(Self { status, keeps_alive, is_closing: false, lengths, last_coding: None, passed, kept: None })
    }

    /// A line without a colon is no field: nothing in it can be trusted, and nothing is lost by skipping it.
    fn read(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return };
        let Some((name, value)) = line.split_at_checked(colon) else { return };
        let name = name.trim_ascii();
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if let Some(kept) = &mut self.kept {
            kept.keep(name, value, line.len() >= MAX_LINE_BYTES);
        }
        let items = || value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|item| !item.is_empty());
        if name.eq_ignore_ascii_case(b"content-length") {
            self.lengths.extend(items().map(length));
            // Twice the same is one length; more different ones need not be kept to be wrong.
            self.lengths.dedup();
            self.lengths.truncate(2);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let coding = items().rfind(|coding| !coding.eq_ignore_ascii_case(b"identity"));
            self.last_coding = coding.map(<[u8]>::to_ascii_lowercase).or(self.last_coding.take());
        } else if name.eq_ignore_ascii_case(b"connection") {
            let says = |word: &[u8]| items().any(|item| item.eq_ignore_ascii_case(word));
            self.keeps_alive |= says(b"keep-alive");
            self.is_closing |= says(b"close");
        } else if let Some(passed) = PASSED.iter().find(|passed| name.eq_ignore_ascii_case(passed.as_bytes())) {
            self.pass(passed, value);
        }
    }

    fn pass(&mut self, name: &str, value: &[u8]) {
        if !value.is_empty() && self.passed.len() + name.len() + value.len() < MAX_PASSED_BYTES {
            let text: String = value.iter().map(|byte| plain(*byte)).collect();
            let _infallible = write!(self.passed, "{name}: {text}\r\n");
        }
    }

    /// Where the end of the body is unclear the connection is not used again: the next response could begin anywhere.
    fn clean(self) -> CleanHead {
        let (framing, is_clear) = match (self.last_coding.as_deref(), &*self.lengths) {
            (Some(b"chunked"), lengths) => ("transfer-encoding: chunked\r\n".to_owned(), lengths.is_empty()),
            (None, [Some(length)]) => (format!("content-length: {length}\r\n"), true),
            (None, []) => (String::new(), true),
            // Read until the receiver closes.
            _ => (String::new(), false),
        };
        let close = if self.keeps_alive && !self.is_closing && is_clear { "" } else { "connection: close\r\n" };
        let Self { status, passed, kept, .. } = self;
        CleanHead {
            bytes: format!("HTTP/1.1 {status} \r\n{framing}{close}{passed}\r\n").into_bytes(),
            is_interim: (100..200).contains(&status) && status != 101,
            kept,
        }
    }
}

impl KeptHead {
    /// A name that is no token, such as one with blanks, is no field.
    fn keep(&mut self, name: &[u8], value: &[u8], is_long: bool) {
        let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        if name.is_empty() || !name.iter().all(is_token) {
            return;
        }
        let bytes = self.bytes + name.len() + value.len();
        // Of a secret that comes back, a part would not be recognised.
        if is_long || self.lines.len() == MAX_KEPT_FIELDS || bytes > MAX_KEPT_BYTES {
            self.is_cut = true;
            return;
        }
        self.bytes = bytes;
        let readable = |letter: char| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter };
        let value = String::from_utf8_lossy(value).chars().map(readable).collect();
        self.lines.push((String::from_utf8_lossy(name).to_ascii_lowercase(), value));
    }
}

fn length(digits: &[u8]) -> Option<u64> {
    let is_number = digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()
}

/// ASCII, so that the text is the same bytes in the head.
fn plain(byte: u8) -> char {
    if byte == b'\t' || (b' '..=b'~').contains(&byte) { char::from(byte) } else { '?' }
}

fn shown(line: &[u8]) -> String {
    let line = line.trim_ascii();
    let cut = line.get(..MAX_SHOWN_BYTES);
    let mut text = cut.unwrap_or(line).escape_ascii().to_string();
    if cut.is_some() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(head: &[u8]) -> Result<Option<String>, BadHead> {
        let clean = HeadReader::default().feed(&mut &*head)?;
        Ok(clean.map(|clean| String::from_utf8(clean.bytes).unwrap()))
    }

    fn clean(lines: &str) -> String {
        read(format!("HTTP/1.1 200 OK\r\n{lines}\r\n").as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn a_clear_head_keeps_what_matters_and_no_more() {
        let head = "Server: x\r\nContent-Length: 2\r\nRetry-After: 7\r\nWebhook-Delivery: abort-message\r\n";
        let expected = "content-length: 2\r\nretry-after: 7\r\nwebhook-delivery: abort-message\r\n";
        assert_eq!(clean(head), format!("HTTP/1.1 200 \r\n{expected}\r\n"));
    }

    #[test]
    fn an_unclear_end_of_the_body_closes_the_connection() {
        for (lines, framing) in [
            ("content-length: 1\r\ncontent-length: 2\r\n", ""),
            ("content-length: 1, 2\r\n", ""),
            ("content-length: +1\r\n", ""),
            ("content-length: -1\r\n", ""),
            ("content-length: 99999999999999999999\r\n", ""),
            ("transfer-encoding: gzip\r\n", ""),
            ("content-length: 1\r\ntransfer-encoding: gzip, chunked\r\n", "transfer-encoding: chunked\r\n"),
        ] {
            assert_eq!(clean(lines), format!("HTTP/1.1 200 \r\n{framing}connection: close\r\n\r\n"), "{lines}");
        }
        for lines in ["content-length: 2, 2\r\n", "content-length: 2\r\nTransfer-Encoding: identity\r\n"] {
            assert_eq!(clean(lines), "HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\n", "{lines}");
        }
    }

    #[test]
    fn the_connection_is_kept_as_version_and_field_say() {
        let ends = |head: &str| read(head.as_bytes()).unwrap().unwrap().contains("connection: close");
        assert!(!ends("HTTP/1.1 204\r\n\r\n"));
        assert!(ends("HTTP/1.1 204\r\nConnection: Keep-Alive, Close\r\n\r\n"));
        assert!(ends("HTTP/1.0 204 X\r\n\r\n"));
        assert!(!ends("HTTP/1.0 204 X\r\nconnection: keep-alive\r\n\r\n"));
    }

    #[test]
    fn what_is_no_status_line_is_shown_escaped_and_cut() {
        let long = "y".repeat(500);
        for (head, text) in [
            ("SSH-2.0-OpenSSH_9.2p1\r\n", "SSH-2.0-OpenSSH_9.2p1".to_owned()),
            ("220 \x1b[31m\u{ff}\"", "220 \\x1b[31m\\xc3\\xbf\\\"".to_owned()),
            ("HTTP/1.1 OK\n", "HTTP/1.1 OK".to_owned()),
            ("HTTP/1.1 2000 OK\n", "HTTP/1.1 2000 OK".to_owned()),
            (&long, format!("{}…", &long[..80])),
        ] {
            assert_eq!(read(head.as_bytes()), Err(BadHead::NoStatusLine(text)));
        }
    }

    #[test]
    fn the_size_is_limited_but_not_by_what_has_to_be_kept() {
        let line = format!("x: {}\r\n", "y".repeat(2_000));
        assert_eq!(clean(&line.repeat(100)), "HTTP/1.1 200 \r\n\r\n");
        assert!(clean(&"retry-after: 1\r\n".repeat(1_000)).lines().count() < 95);
        let mut reader = HeadReader::default();
        reader.feed(&mut format!("HTTP/1.1 200 OK\r\n{line}").as_bytes()).unwrap();
        assert!(reader.line.capacity() + reader.previous.as_ref().map_or(0, Vec::capacity) <= 4 * MAX_LINE_BYTES);
        assert_eq!(reader.feed(&mut line.repeat(200).as_bytes()), Err(BadHead::TooLarge));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_head_is_cut_into_packets(
            head in "(HTTP/1.[01] [1-9][0-9]{2}[ a-z]{0,5}\r?\n)?([a-z\r: ,\t]{0,9}\n){0,6}\r?\n",
            size in 1_usize..9,
        ) {
            let whole = HeadReader::default().feed(&mut head.as_bytes());
            let mut reader = HeadReader::default();
            let mut parts = Ok(None);
            for part in head.as_bytes().chunks(size) {
                parts = reader.feed(&mut &*part);
                if !matches!(parts, Ok(None)) {
                    break;
                }
            }
            // The line that is shown may be cut where the packet ends.
            prop_assert!(parts == whole || (parts.is_err() && whole.is_err()), "{parts:?} {whole:?}");
        }

        #[test]
        fn any_bytes_are_answered_and_a_clean_head_is_one(bytes: Vec<u8>) {
            let head = [b"HTTP/1.1 200 \r\n", &*bytes, b"\r\n\r\n"].concat();
            let clean = read(&head).unwrap().unwrap();
            prop_assert!(clean.ends_with("\r\n\r\n") && clean.matches("\r\n\r\n").count() == 1, "{clean}");
        }
    }
}
