//! What is kept of an attempt for the log. No secret is in it.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::connection::Usage;
use super::head::KeptHead;
use super::progress::Progress;
use super::{Met, request};
use crate::domain::delivery::Parcel;
use crate::domain::detail::{Detail, fields};
use crate::domain::secret::MASK;

/// The request is described again from the parcel, so that what is not kept costs nothing.
pub(super) fn of(parcel: &Parcel, now: OffsetDateTime, met: &Met, progress: &Arc<Progress>, total: Duration) -> Detail {
    let usage = met.usage.as_deref();
    let head = usage.filter(|_| met.answer.status.is_some()).and_then(Usage::take_head);
    let first_byte = usage.and_then(Usage::first_byte);
    let url = parcel.destination.target.as_str();
    let timing = match usage {
        Some(usage) if !usage.is_opened_by(progress) => progress.parts_of_reused(first_byte, total),
        _ => progress.parts(url.starts_with("https:"), first_byte, total),
    };
    Detail {
        url: url.to_owned(),
        request: request::shown(parcel, now),
        response_is_cut: head.as_ref().is_some_and(|head| head.is_cut),
        response: head.map(|head| fields(without_secrets(head, parcel))),
        body_is_cut: met.body_is_cut,
        timing,
        worker: None,
    }
}

/// A receiver may send back what it got.
fn without_secrets(head: KeptHead, parcel: &Parcel) -> Vec<(String, String)> {
    let own: Vec<String> = parcel.destination.headers.lines().map(|(_, value)| value).collect();
    // The credentials of `Bearer x` alone, too.
    let bare = own.iter().filter_map(|value| value.split_once(' ').map(|(_, credentials)| credentials));
    // Not a part of the mask, else each mask would be masked again. The longest first: it may contain another.
    let is_secret = |secret: &&str| !secret.is_empty() && !MASK.contains(*secret);
    let mut secrets: Vec<&str> = own.iter().map(String::as_str).chain(bare).filter(is_secret).collect();
    secrets.sort_unstable_by_key(|secret| (Reverse(secret.len()), *secret));
    secrets.dedup();
    let masked = |value: String| secrets.iter().fold(value, |value, secret| value.replace(secret, MASK));
    head.lines.into_iter().map(|(name, value)| (name, masked(value))).collect()
}
