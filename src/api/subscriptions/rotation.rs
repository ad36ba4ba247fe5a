//! The body that rotates a secret.

use crate::api::form::{Whole, form};
use crate::domain::rotation::{MAX_OVERLAP_SECONDS, Overlap};
use crate::domain::secret::Secret;

form! {
    /// How to rotate a secret.
    pub(super) struct RotationForm {
        /// How long the secret until now lives on, in seconds; 86400, a day, when left out. 0 ends
        /// it at once.
        overlap_seconds: Option<Whole<0, MAX_OVERLAP_SECONDS>>,
        /// The new secret; a `whsec_` secret is made when left out.
        pub(super) secret_key: Option<Secret>,
    }
}

impl RotationForm {
    /// How long the secret until now lives on.
    pub(super) fn overlap(&self) -> Overlap {
        self.overlap_seconds.and_then(|seconds| Overlap::of_seconds(seconds.0)).unwrap_or_default()
    }
}
