//! The bytes of a row's requests: placeholders filled in, generators run.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use time::OffsetDateTime;

use super::row::{Auth, Generator, Row, Scheme, Signed};
use super::wire::Bytes;

/// The rows that take their time are never longer than this; the service ends them sooner.
const LONGEST_DRIP_SECONDS: usize = 45;

/// What placeholders stand for.
pub(super) type Words = BTreeMap<&'static str, String>;

/// What a row sends, connection by connection.
pub(super) fn connections(row: &Row, words: &Words) -> Vec<Bytes> {
    let whole = |headers: &[(String, String)], body: Vec<u8>| {
        let framed = !body.is_empty() || matches!(row.method.as_str(), "POST" | "PUT" | "PATCH");
        let head = head(row, words, headers, framed.then_some(body.len()));
        Bytes { parts: vec![head, body], is_head: row.method == "HEAD", ..Bytes::default() }
    };
    if let Some(raw) = &row.raw {
        return vec![Bytes { parts: vec![latin1(&fill(raw, words))], ..Bytes::default() }];
    }
    match &row.generator {
        None => vec![whole(&[], row.body())],
        Some(Generator::Repeat(repeat)) => match repeat.chunk {
            None => vec![whole(&[], repeat.body())],
            Some(size) => vec![chunked(head(row, words, &[], None), &repeat.body(), size)],
        },
        Some(Generator::Drip { bytes_per_second, total }) => {
            let head = head(row, words, &[], Some(*total));
            let drops = vec![b"{".to_vec(); (*total).min(LONGEST_DRIP_SECONDS)];
            let pace = Duration::from_secs(1) / u32::try_from(*bytes_per_second).unwrap();
            vec![Bytes { parts: [vec![head], drops].concat(), pace, ..Bytes::default() }]
        }
        Some(Generator::Gzip { of }) => vec![whole(&[], gzip(of.as_bytes()))],
        Some(Generator::Signed(signed)) => {
            let sent = signed.send_body.as_ref().unwrap_or(&signed.body);
            vec![whole(&signature(signed, words), sent.clone().into_bytes())]
        }
        Some(Generator::Sequence(sequence)) => {
            sequence.bodies().into_iter().map(|body| whole(&[], body.into_bytes())).collect()
        }
        Some(Generator::Parallel { count, body }) => vec![whole(&[], body.clone().into_bytes()); *count],
        Some(Generator::Headers { name, value, count }) => {
            let numbered = |i: usize| (name.replace("{i}", &i.to_string()), value.clone());
            vec![whole(&(0..*count).map(numbered).collect::<Vec<_>>(), Vec::new())]
        }
        Some(Generator::HeaderRepeat { header, unit, count }) => {
            vec![whole(&[(header.clone(), unit.repeat(*count))], Vec::new())]
        }
        Some(Generator::PartialThenHold { raw, hold_seconds }) => {
            let hold = Some(Duration::from_secs(*hold_seconds));
            vec![Bytes { parts: vec![raw.clone().into_bytes()], hold, ..Bytes::default() }]
        }
    }
}

/// The text with its placeholders filled in: `{name}`, and `{1000 x a}` for a thousand a's.
pub(super) fn fill(text: &str, words: &Words) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let (inside, left) = after.split_once('}').unwrap_or((after, ""));
        match (words.get(inside), inside.split_once(" x ")) {
            (Some(word), _) => filled.push_str(word),
            (None, Some((count, unit))) => filled.push_str(&unit.repeat(count.parse().unwrap())),
            // Braces of JSON in a raw request.
            (None, None) => {
                assert!(inside.is_empty(), "unknown placeholder {{{inside}}}");
                filled.push_str("{}");
            }
        }
        rest = left;
    }
    filled + rest
}

fn head(row: &Row, words: &Words, more: &[(String, String)], length: Option<usize>) -> Vec<u8> {
    let mut fields = vec![("Host".to_owned(), words["host"].clone())];
    fields.extend(row.headers.iter().map(|(name, value)| (name.clone(), fill(value, words))));
    if row.auth == Auth::Valid && !row.headers.contains_key("Authorization") {
        fields.push(("Authorization".to_owned(), format!("Bearer {}", words["api_key"])));
    }
    fields.extend_from_slice(more);
    fields.extend(length.map(|length| ("Content-Length".to_owned(), length.to_string())));
    let mut text = format!("{} {} HTTP/1.1\r\n", row.method, fill(&row.path, words));
    for (name, value) in fields {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    latin1(&(text + "\r\n"))
}

/// One byte for each character, as the corpus means its raw requests.
fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("a character of one byte")).collect()
}

fn chunked(head: Vec<u8>, body: &[u8], size: usize) -> Bytes {
    let chunk = |data: &[u8]| [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat();
    let mut parts = vec![head];
    parts.extend(body.chunks(size).map(chunk));
    parts.push(b"0\r\n\r\n".to_vec());
    Bytes { parts, ..Bytes::default() }
}

fn signature(signed: &Signed, words: &Words) -> Vec<(String, String)> {
    let secret = fill(&signed.secret, words);
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let mac = |text: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), text.as_bytes());
    let field = |name: &str, value: String| (name.to_owned(), value);
    match signed.scheme {
        Scheme::Sha256Hex => {
            let mut hex: String = mac(&signed.body).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            if signed.upper {
                hex.make_ascii_uppercase();
            }
            vec![field("X-Hub-Signature-256", format!("sha256={hex}{}", signed.append))]
        }
        Scheme::StandardWebhooks => {
            let id = signed.id.as_deref().unwrap_or("msg_1");
            let timestamp = OffsetDateTime::now_utc().unix_timestamp() + signed.timestamp_offset;
            let proof = STANDARD.encode(mac(&format!("{id}.{timestamp}.{}", signed.body)));
            vec![
                field("webhook-id", id.to_owned()),
                field("webhook-timestamp", timestamp.to_string()),
                field("webhook-signature", format!("v1,{proof}")),
            ]
        }
    }
}

/// A gzip stream with the data stored as it is (RFC 1952, RFC 1951 section 3.2.4).
fn gzip(data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    let mut stream = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    stream.extend(length.to_le_bytes());
    stream.extend((!length).to_le_bytes());
    stream.extend(data);
    stream.extend(crc32(data).to_le_bytes());
    stream.extend(u32::from(length).to_le_bytes());
    stream
}

fn crc32(data: &[u8]) -> u32 {
    let shift = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    !data.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| shift(crc)))
}
