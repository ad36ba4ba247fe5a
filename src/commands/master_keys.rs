//! Compares the master keys with what is stored.

use std::fmt;

use super::Failure;
use crate::domain::keyring::{CannotOpen, Keyring};
use crate::store::{SealedWith, Store};

/// Secrets that no master key opens.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unopened(String);

pub(super) const ADVICE: &str =
    "restore these keys in POSTRIDER_MASTER_KEYS with the same id and bytes, after the first one";

impl fmt::Display for Unopened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is sealed with which key, in words.
pub(super) fn compare(used: &[SealedWith], keyring: &Keyring) -> Result<String, Unopened> {
    let refused: Vec<(&SealedWith, CannotOpen)> =
        used.iter().filter_map(|sealed| Some((sealed, cannot_open(keyring, sealed)?))).collect();
    let named = |sealed: &SealedWith| format!("{} with '{}'", sealed.subscriptions, sealed.key_id);
    if refused.is_empty() {
        // A subscription whose secrets use two keys is counted for both.
        let by_key: Vec<String> = used.iter().map(named).collect();
        let says = format!("each key opens its secrets; subscriptions: {}", by_key.join(", "));
        return Ok(if used.is_empty() { "there is no secret yet".to_owned() } else { says });
    }
    let listed = |is_missing: bool| {
        let of_kind = refused.iter().filter(|(_, why)| matches!(why, CannotOpen::UnknownKey(_)) == is_missing);
        of_kind.map(|(sealed, _)| named(sealed)).collect::<Vec<_>>().join(", ")
    };
    let says = [
        (listed(true), "secrets of subscriptions are sealed with keys that are missing from POSTRIDER_MASTER_KEYS"),
        (listed(false), "keys with the right id do not open the secrets: their bytes have changed"),
    ];
    let says: Vec<String> =
        says.into_iter().filter(|(keys, _)| !keys.is_empty()).map(|(keys, says)| format!("{says}: {keys}")).collect();
    Err(Unopened(says.join("; ")))
}

fn cannot_open(keyring: &Keyring, sealed: &SealedWith) -> Option<CannotOpen> {
    let SealedWith { content, context, kind, .. } = sealed;
    match kind.as_str() {
        "headers" => keyring.open_headers(content, *context).err(),
        "ingest" => keyring.open_ingest(content, *context).err(),
        _ => keyring.open(content, *context).err(),
    }
}

/// At the start of a command: warns, or refuses if `is_strict`. Without an answer in time it says nothing: whatever the
/// command does next says what is wrong with the database.
pub(super) async fn check(store: &Store, keyring: &Keyring, is_strict: bool) -> Result<(), Failure> {
    let used = match store.sealed_with_in_time().await {
        Ok(used) => used,
        Err(error) => {
            tracing::debug!(%error, "the master keys were not compared with what is stored");
            return Ok(());
        }
    };
    match compare(&used, keyring) {
        Err(unopened) if is_strict => Err(Failure::new(format!("POSTRIDER_STRICT: {unopened}; {ADVICE}"))),
        Err(unopened) => {
            tracing::warn!("{unopened}; {ADVICE}");
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}
