//! Groups lookups: while one statement runs, further requests wait and share the next one, so that invented keys
//! delay a real one by a few statements at most.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::store::StoreError;

/// Maximum keys per statement.
const MAX_AT_ONCE: usize = 1_000;
/// Further lookups are refused.
const MAX_WAITING: usize = 10_000;

/// Lookups of one kind.
pub(super) struct Gather<K, V>(Arc<Mutex<Waiting<K, V>>>);

type Answer<V> = Result<Option<V>, String>;

struct Waiting<K, V> {
    order: VecDeque<K>,
    askers: HashMap<K, Vec<oneshot::Sender<Answer<V>>>>,
    is_running: bool,
}

impl<K, V> Default for Waiting<K, V> {
    fn default() -> Self {
        Self { order: VecDeque::new(), askers: HashMap::new(), is_running: false }
    }
}

impl<K, V> Default for Gather<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K, V> Gather<K, V>
where
    K: Hash + Eq + Clone + Send + 'static,
    V: Clone + Send + 'static,
{
    /// `look_up` reads many at once. `Unavailable` if it fails or too many requests wait.
    pub(super) async fn ask<F>(
        &self,
        key: K,
        look_up: impl Fn(Vec<K>) -> F + Send + Sync + 'static,
    ) -> Result<Option<V>, StoreError>
    where
        F: Future<Output = Result<HashMap<K, V>, StoreError>> + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        let begins = {
            let mut waiting = lock(&self.0);
            if !waiting.askers.contains_key(&key) {
                if waiting.order.len() >= MAX_WAITING {
                    return Err(StoreError::Unavailable("too many look-ups wait".to_owned()));
                }
                waiting.order.push_back(key.clone());
            }
            waiting.askers.entry(key).or_default().push(sender);
            !std::mem::replace(&mut waiting.is_running, true)
        };
        if begins {
            // In its own task, because the request that started it may be cancelled.
            let running = Running(Arc::clone(&self.0));
            tokio::spawn(async move { run(&running.0, look_up).await });
        }
        answer
            .await
            .map_err(|_| StoreError::Unavailable("the look-up was given up".to_owned()))?
            .map_err(StoreError::Unavailable)
    }
}

/// The task that looks up. A panic in it refuses whoever waits, and the next request starts another.
struct Running<K, V>(Arc<Mutex<Waiting<K, V>>>);

impl<K, V> Drop for Running<K, V> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            *lock(&self.0) = Waiting::default();
        }
    }
}

async fn run<K, V, F>(waiting: &Mutex<Waiting<K, V>>, look_up: impl Fn(Vec<K>) -> F)
where
    K: Hash + Eq + Clone,
    V: Clone,
    F: Future<Output = Result<HashMap<K, V>, StoreError>>,
{
    loop {
        let (keys, askers) = {
            let mut waiting = lock(waiting);
            let count = waiting.order.len().min(MAX_AT_ONCE);
            let keys: Vec<K> = waiting.order.drain(..count).collect();
            if keys.is_empty() {
                waiting.is_running = false;
                return;
            }
            let askers: Vec<_> = keys.iter().filter_map(|key| waiting.askers.remove_entry(key)).collect();
            (keys, askers)
        };
        let found = look_up(keys).await.map_err(|error| error.to_string());
        for (key, senders) in askers {
            let answer = found.as_ref().map(|found| found.get(&key).cloned()).map_err(Clone::clone);
            for sender in senders {
                // The receiver may have been cancelled.
                let _ = sender.send(answer.clone());
            }
        }
    }
}

fn lock<K, V>(waiting: &Mutex<Waiting<K, V>>) -> MutexGuard<'_, Waiting<K, V>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn what_is_asked_while_a_look_up_runs_goes_into_the_next_one() {
        let gather: Gather<u32, u32> = Gather::default();
        let statements = Arc::new(AtomicUsize::new(0));
        let ask = |key| {
            let statements = Arc::clone(&statements);
            gather.ask(key, move |keys: Vec<u32>| {
                statements.fetch_add(1, Ordering::SeqCst);
                async move {
                    tokio::task::yield_now().await;
                    Ok(keys.into_iter().filter(|key| key.is_multiple_of(2)).map(|key| (key, key * 10)).collect())
                }
            })
        };
        let answers = futures_util::future::join_all((0..500).chain(0..500).map(ask)).await;
        for (at, answer) in answers.into_iter().enumerate() {
            let key = (at % 500) as u32;
            assert_eq!(answer.unwrap(), key.is_multiple_of(2).then_some(key * 10));
        }
        assert!(statements.load(Ordering::SeqCst) <= 2);
    }

    #[tokio::test]
    async fn a_look_up_that_fails_is_told_to_all_who_asked_and_the_next_is_a_new_one() {
        let gather: Gather<u32, u32> = Gather::default();
        let failing = |_| async { Err(StoreError::Unavailable("away".to_owned())) };
        let (one, other) = tokio::join!(gather.ask(1, failing), gather.ask(2, failing));
        assert!(one.unwrap_err().is_unavailable() && other.unwrap_err().is_unavailable());
        let found = gather.ask(1, |_| async { Ok(HashMap::from([(1, 7)])) }).await;
        assert_eq!(found.unwrap(), Some(7));
    }

    #[tokio::test]
    async fn a_look_up_that_panics_is_refused_and_the_next_one_works() {
        let gather: Gather<u32, u32> = Gather::default();
        let look_up = |fails: bool| {
            move |keys: Vec<u32>| async move {
                assert!(!fails, "planted");
                Ok(keys.into_iter().map(|key| (key, key)).collect())
            }
        };
        assert!(gather.ask(1, look_up(true)).await.unwrap_err().is_unavailable());
        assert_eq!(gather.ask(2, look_up(false)).await.unwrap(), Some(2));
    }
}
