//! Opens sealed secrets and headers, and seals changed headers.

use crate::domain::ingest::{Ingest, IngestChange, IngestRules, SecretChange};
use crate::domain::keyring::{CannotOpen, Keyring, SALT_BYTES, SealContext};
use crate::domain::request_headers::{HeaderChanges, RequestHeaders};
use crate::domain::rotation::{OlderSecret, Secrets};
use crate::store::{SealedHeaders, SealedIngest, SealedSecrets};

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

/// Without a change of its values it stays as it is, but sealed with the first master key.
pub(super) fn change_ingest(
    keyring: &Keyring,
    current: &SealedIngest,
    change: &IngestChange,
    context: SealContext,
) -> Result<SealedIngest, WriteError> {
    let (rules, wanted) = match change {
        IngestChange::Keep => return Ok(current.clone()),
        IngestChange::Remove => return Ok(SealedIngest::default()),
        IngestChange::Set(rules, secret) => (rules, secret),
    };
    let rules = Some(rules.clone());
    let kept = || match &current.secret {
        Some(sealed) if !keyring.is_first_of(sealed) => keyring.open_ingest(sealed, context).ok(),
        _ => None,
    };
    let provider = |rules: &Option<IngestRules>| rules.as_ref().and_then(|rules| rules.provider);
    let is_same = provider(&current.rules) == provider(&rules);
    let secret = match wanted {
        SecretChange::Keep if provider(&rules).is_none() => return Ok(SealedIngest { rules, secret: None }),
        SecretChange::Keep if current.secret.is_some() && !is_same => return Err(WriteError::IngestSecretOfAnother),
        SecretChange::Keep => match kept() {
            None => return Ok(SealedIngest { rules, secret: current.secret.clone() }),
            Some(secret) => secret,
        },
        SecretChange::Remove => return Ok(SealedIngest { rules, secret: None }),
        SecretChange::Set(secret) => secret.clone(),
    };
    if let Some(sealed) = current.secret.as_ref().filter(|sealed| keyring.is_first_of(sealed))
        && keyring.open_ingest(sealed, context).is_ok_and(|stored| stored == secret)
    {
        return Ok(SealedIngest { rules, secret: current.secret.clone() });
    }
    Ok(SealedIngest { rules, secret: Some(keyring.seal_ingest(&secret, context, random::<SALT_BYTES>())) })
}

/// The producer's part of a row.
pub(super) fn open_ingest(keyring: &Keyring, row: &SealedIngest, context: SealContext) -> Result<Ingest, CannotOpen> {
    let secret = row.secret.as_ref().map(|sealed| keyring.open_ingest(sealed, context)).transpose()?;
    Ok(Ingest { rules: row.rules.clone().unwrap_or_default(), secret })
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
