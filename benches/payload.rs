//! The payloads: JSON objects of one size that differ by a number.

use std::ops::Range;

use bytes::Bytes;

/// Where the number stands: `{"n":"0000000000",`.
const NUMBER: Range<usize> = 6..16;
/// Letters of the filling. Sixteen, so that a word of random bits gives sixteen letters.
const LETTERS: [u8; 16] = *b"abcdefghijklmnop";

/// What all payloads of one size share.
#[derive(Debug, Clone)]
pub(crate) struct Template(Vec<u8>);

impl Template {
    /// Payloads of this many bytes, 32 at least.
    pub(crate) fn new(bytes: usize) -> Self {
        let mut document = b"{\"n\":\"0000000000\",\"data\":\"".to_vec();
        let end = b"\"}";
        document.extend(filling(bytes.saturating_sub(document.len() + end.len())));
        document.extend_from_slice(end);
        Self(document)
    }

    /// The payload with this number.
    pub(crate) fn numbered(&self, number: usize) -> Bytes {
        let mut document = self.0.clone();
        if let Some(digits) = document.get_mut(NUMBER) {
            digits.copy_from_slice(format!("{:010}", number % 10_000_000_000).as_bytes());
        }
        document.into()
    }
}

/// The number that a payload bears.
pub(crate) fn number(payload: &[u8]) -> Option<usize> {
    std::str::from_utf8(payload.get(NUMBER)?).ok()?.parse().ok()
}

/// Letters that do not compress to nothing, as PostgreSQL compresses what is larger than 2 kB.
/// The same in each run.
fn filling(bytes: usize) -> impl Iterator<Item = u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(move || {
        // Xorshift64 of Marsaglia.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    let letter = |nibble: u8| LETTERS.get(usize::from(nibble)).copied().unwrap_or(b'a');
    words.flatten().flat_map(move |byte| [letter(byte >> 4), letter(byte & 15)]).take(bytes)
}
