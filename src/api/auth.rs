//! Who asks: bearer keys, checked against PostgreSQL at most once a second each.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use poem::http::{HeaderMap, header};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::key_uses::KeyUses;
use super::problem::Problem;
use crate::domain::api_key::{ApiKey, Scope};
use crate::domain::id::{ApiKeyId, TenantId};
use crate::store::{Clock, KnownKey, Store, StoreError};

/// How long a key is believed: the bound on how late a revocation is seen.
const BELIEVED_FOR: Duration = Duration::from_secs(1);
/// When one request asks again, while the others still believe: a busy key never makes a
/// crowd of requests wait for the database.
const ASKED_AFTER: Duration = Duration::from_millis(500);
/// Most keys remembered.
const MAX_KEYS: usize = 10_000;
/// Most keys looked up at once: a stranger's invented ones wait for each other and leave
/// connections to everybody else.
const MAX_LOOKUPS: usize = 2;
// What the documents promise of a revocation.
const _: () = assert!(BELIEVED_FOR.as_millis() <= 1_000 && ASKED_AFTER.as_millis() < BELIEVED_FOR.as_millis());

/// Who asks, and what they may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caller {
    /// Whose objects they see.
    pub(super) tenant: TenantId,
    /// What they may do.
    pub(super) scope: Scope,
}

/// Checks keys.
pub(super) struct Keys {
    store: Store,
    known: Mutex<HashMap<ApiKeyId, Remembered>>,
    lookups: Semaphore,
    uses: KeyUses,
    clock: Clock,
}

/// A key as it was read last.
struct Remembered {
    key: KnownKey,
    ask_from: Instant,
    believed_until: Instant,
}

impl Keys {
    /// Keys of this store.
    pub(super) fn new(store: Store, clock: Clock) -> Self {
        let lookups = Semaphore::new(MAX_LOOKUPS);
        Self { store, known: Mutex::default(), lookups, uses: KeyUses::default(), clock }
    }

    /// Writes when keys were used last, beside the requests, until `shutdown`.
    pub(super) async fn write_uses(&self, shutdown: &CancellationToken) {
        self.uses.write(&self.store, shutdown).await;
    }

    /// The caller of a request; `None` without a valid key.
    ///
    /// # Errors
    /// [`Problem`] for more than one `Authorization`, or when the database is away.
    pub(super) async fn caller(&self, headers: &HeaderMap) -> Result<Option<Caller>, Problem> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return if headers.contains_key(header::AUTHORIZATION) {
                Err(Problem::MalformedRequest("Authorization must stand only once"))
            } else {
                Ok(None)
            };
        };
        let Some(key) = value.to_str().ok().and_then(bearer).and_then(|text| text.parse::<ApiKey>().ok()) else {
            return Ok(None);
        };
        let known = self.known(key.id(), Instant::now()).await?;
        let known = known.filter(|known| known.hash.matches(&key.hash()));
        if known.is_some() {
            self.uses.note(key.id(), self.clock.now());
        }
        Ok(known.and_then(|known| Some(Caller { tenant: known.tenant?, scope: known.scope })))
    }

    async fn known(&self, id: ApiKeyId, now: Instant) -> Result<Option<KnownKey>, StoreError> {
        let remembered = self.remembered(id, now);
        if remembered.is_some() {
            return Ok(remembered);
        }
        // Never closed; without a turn the pool's own limit would still hold.
        let turn = self.lookups.acquire().await;
        let found = self.store.find_api_keys(&[id]).await?.pop();
        drop(turn);
        let mut known = self.lock();
        let Some(key) = &found else {
            known.remove(&id);
            return Ok(None);
        };
        if known.len() >= MAX_KEYS {
            known.retain(|_, remembered| remembered.believed_until > now);
        }
        // Counted from before the question: the answer may be old by the time it comes.
        let (ask_from, believed_until) = (now + ASKED_AFTER, now + BELIEVED_FOR);
        if known.len() < MAX_KEYS {
            known.insert(id, Remembered { key: key.clone(), ask_from, believed_until });
        }
        Ok(found)
    }

    /// What is believed of a key; `None` where this request has to ask.
    fn remembered(&self, id: ApiKeyId, now: Instant) -> Option<KnownKey> {
        let mut known = self.lock();
        let remembered = known.get_mut(&id).filter(|remembered| remembered.believed_until > now)?;
        if remembered.ask_from <= now {
            // This one asks; the others go on believing until the end.
            remembered.ask_from = remembered.believed_until;
            return None;
        }
        Some(remembered.key.clone())
    }

    /// What is remembered stays whole through a panic elsewhere.
    fn lock(&self) -> MutexGuard<'_, HashMap<ApiKeyId, Remembered>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The token after `Bearer `, whose case does not count.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::api_key::SECRET_BYTES;
    use crate::store::StoreConfig;
    use time::OffsetDateTime;

    /// Keys that know this one since `now`, over a database that is away.
    fn keys_that_know(key: &ApiKey, now: Instant) -> Keys {
        let url = "postgres://postgres@%2Fnowhere/nothing".to_owned();
        let away = Store::new(&StoreConfig {
            direct_url: url.clone(),
            url,
            prepare: true,
            pool_size: 5,
            schema: "public".to_owned(),
        })
        .unwrap();
        let keys = Keys::new(away, Clock::default());
        let tenant = TenantId::at(OffsetDateTime::UNIX_EPOCH);
        let known =
            KnownKey { id: key.id(), tenant: Some(tenant), scope: Scope::Read, hash: key.hash(), expires_at: None };
        let (ask_from, believed_until) = (now + ASKED_AFTER, now + BELIEVED_FOR);
        keys.lock().insert(key.id(), Remembered { key: known, ask_from, believed_until });
        keys
    }

    #[tokio::test]
    async fn a_key_is_believed_for_a_second_and_asked_for_again_by_one_request_before() {
        let (now, tick) = (Instant::now(), Duration::from_millis(1));
        let key = ApiKey::new(ApiKeyId::at(OffsetDateTime::UNIX_EPOCH), [7; SECRET_BYTES]);
        let keys = keys_that_know(&key, now);
        let is_believed = |at| keys.remembered(key.id(), at).is_some();
        assert!(is_believed(now + ASKED_AFTER - tick));
        assert!(!is_believed(now + ASKED_AFTER), "one request asks");
        assert!(is_believed(now + ASKED_AFTER), "the others go on");
        assert!(is_believed(now + BELIEVED_FOR - tick));
        assert!(!is_believed(now + BELIEVED_FOR), "nobody believes any longer");
        assert!(keys.known(key.id(), now + BELIEVED_FOR).await.is_err(), "even while the database is away");
    }
}
