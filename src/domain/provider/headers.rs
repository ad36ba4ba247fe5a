//! The headers of a request that may hold its signature, or say what its event is.

use super::{MAX_ENTRIES, PROVIDERS};
use crate::domain::signature::InvalidSignature;

/// Names in lower case; no value for a header that stands twice.
#[derive(Debug, Clone, Default)]
pub struct ProducerHeaders(Vec<(String, Option<String>)>);

impl ProducerHeaders {
    /// Of a header that stands twice, a proxy and we might read different values: it counts as unreadable.
    pub fn new(headers: impl IntoIterator<Item = (String, Option<String>)>) -> Self {
        Self(headers.into_iter().collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name)?.1.as_deref()
    }

    /// Whether it is there, however often.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// Refuses a long list before anything is computed or looked up: it costs no HMAC and no statement.
    pub(crate) fn check_lists(&self) -> Result<(), InvalidSignature> {
        let lists = PROVIDERS.iter().filter_map(|row| row.scheme.as_ref());
        let entries = |list: &super::Scheme<'_>| {
            let text = self.get(list.header).unwrap_or_default();
            list.separator.map_or(1, |separator| text.split(separator).take(MAX_ENTRIES + 1).count())
        };
        if lists.map(entries).any(|entries| entries > MAX_ENTRIES) { Err(InvalidSignature::TooMany) } else { Ok(()) }
    }

    /// The rows whose signature is there.
    pub(crate) fn signed_as(&self) -> impl Iterator<Item = (&'static super::Provider, Scheme)> {
        PROVIDERS.iter().filter_map(|row| Some((row, row.scheme?))).filter(|(_, scheme)| self.has(scheme.header))
    }
}

type Scheme = super::Scheme<'static>;
