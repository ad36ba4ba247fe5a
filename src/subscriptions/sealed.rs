//! Opens sealed secrets and headers, and seals changed headers.

use crate::domain::keyring::{CannotOpen, Keyring, SALT_BYTES, SealContext};
use crate::domain::request_headers::{HeaderChanges, RequestHeaders};
use crate::domain::rotation::{OlderSecret, Secrets};
use crate::store::{SealedHeaders, SealedSecrets};

use super::{WriteError, random};

/// Skips an older secret that cannot be opened, with a warning.
pub fn open_sealed(
    keyring: &Keyring,
    secrets: &SealedSecrets,
    headers: Option<&[u8]>,
    context: SealContext,
) -> Result<(Secrets, RequestHeaders), CannotOpen> {
    Ok((open_secrets(keyring, secrets, context)?, open_headers(keyring, headers, context)?))
}

fn open_headers(keyring: &Keyring, sealed: Option<&[u8]>, context: SealContext) -> Result<RequestHeaders, CannotOpen> {
    sealed.map_or_else(|| Ok(RequestHeaders::default()), |sealed| keyring.open_headers(sealed, context))
}

/// Opens stored headers only if some stay, so that a missing master key can be repaired by sending all values.
pub(super) fn change_headers(
    keyring: &Keyring,
    current: &SealedHeaders,
    changes: &HeaderChanges,
    context: SealContext,
) -> Result<SealedHeaders, WriteError> {
    if changes.is_none() {
        return Ok(current.clone());
    }
    let opened = open_headers(keyring, current.sealed.as_deref(), context);
    let stand = match &opened {
        Err(reason) if changes.keeps(!current.names.is_empty(), current.auth_type.is_some()) => {
            return Err(WriteError::HeadersDoNotOpen(reason.clone()));
        }
        opened => opened.as_ref().cloned().unwrap_or_default(),
    };
    let headers = changes.over(&stand).map_err(|(name, rule)| WriteError::Header { name, rule })?;
    let is_sealed_well = current.sealed.as_ref().is_none_or(|sealed| keyring.is_first_of(sealed));
    if is_sealed_well && opened.is_ok_and(|opened| opened == headers) {
        return Ok(current.clone());
    }
    if headers.is_empty() {
        return Ok(SealedHeaders::default());
    }
    Ok(SealedHeaders {
        names: headers.names().map(str::to_owned).collect(),
        auth_type: headers.auth().map(|auth| auth.kind().as_str().to_owned()),
        sealed: Some(keyring.seal_headers(&headers, context, random::<SALT_BYTES>())),
    })
}

fn open_secrets(keyring: &Keyring, sealed: &SealedSecrets, context: SealContext) -> Result<Secrets, CannotOpen> {
    let current = keyring.open(&sealed.current, context)?;
    let mut older = Vec::with_capacity(sealed.older.len());
    for sealed in &sealed.older {
        match keyring.open(&sealed.sealed, context) {
            Ok(secret) => older.push(OlderSecret { secret, until: sealed.until }),
            Err(error) => {
                tracing::warn!(%error, subscription = %context.subscription, "an older secret cannot be opened; it does not sign");
            }
        }
    }
    Ok(Secrets::new(current, older))
}
