//! The first bytes of a request body, kept beside it: also of a body that was refused and then read to its end only so
//! that its client sees the answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Enough to recognise a document. The rest of the body is not kept.
const MAX_BYTES: usize = 512;

/// An extension of each request with a body. Nothing is read for its sake.
#[derive(Debug, Clone, Default)]
pub struct Beginning(Arc<Mutex<Vec<u8>>>);

impl Beginning {
    pub const MAX_BYTES: usize = MAX_BYTES;

    /// What has arrived so far, up to [`Self::MAX_BYTES`].
    pub fn bytes(&self) -> Vec<u8> {
        self.lock().clone()
    }

    pub(super) fn add(&self, data: &[u8]) {
        let mut bytes = self.lock();
        let missing = MAX_BYTES.saturating_sub(bytes.len()).min(data.len());
        bytes.extend_from_slice(data.get(..missing).unwrap_or_default());
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_the_first_bytes_however_they_arrive() {
        let beginning = Beginning::default();
        for _ in 0..100 {
            beginning.add(b"0123456789");
        }
        assert_eq!(beginning.bytes(), [b"0123456789".repeat(51), b"01".to_vec()].concat());
    }
}
