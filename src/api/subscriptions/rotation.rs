//! The body that rotates a secret: documented, read strictly.

use poem_openapi::Object;

use super::form::read_secret;
use crate::api::problem::Problem;
use crate::api::strict::{Field, Fields};
use crate::domain::rotation::{MAX_OVERLAP_SECONDS, Overlap};
use crate::domain::secret::Secret;

/// How to rotate a secret. It documents; [`Rotation`] reads.
#[derive(Debug, Object)]
pub(super) struct RotationForm {
    /// How long the secret until now lives on, in seconds; 86400, a day, when left out. 0 ends
    /// it at once.
    #[oai(validator(minimum(value = "0"), maximum(value = "604800")))]
    overlap_seconds: Option<u32>,
    /// The new secret; a `whsec_` secret is made when left out.
    secret_key: Option<String>,
}

/// What a body decides.
#[derive(Debug)]
pub(super) struct Rotation {
    pub(super) overlap: Overlap,
    pub(super) secret: Option<Secret>,
}

impl Rotation {
    /// Reads a body.
    ///
    /// # Errors
    /// [`Problem::Invalid`] with every rule that it breaks.
    pub(super) fn read(mut fields: Fields<'_>) -> Result<Self, Problem> {
        let rotation =
            Self { overlap: read_overlap(&mut fields).unwrap_or_default(), secret: read_secret(&mut fields) };
        fields.finish().map(|()| rotation)
    }
}

fn read_overlap(fields: &mut Fields<'_>) -> Option<Overlap> {
    let Field::Given(seconds) = fields.integer("overlap_seconds") else { return None };
    let overlap = u32::try_from(seconds).ok().and_then(Overlap::of_seconds);
    if overlap.is_none() {
        let rule = format!("must be from 0 to {MAX_OVERLAP_SECONDS}");
        fields.refuse("/overlap_seconds", "out_of_range", rule);
    }
    overlap
}
