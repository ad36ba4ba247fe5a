//! Waiting on conditions, with a limit: no story sleeps for a while and hopes.

use std::time::Duration;

/// Longest wait for anything, on a machine that is busy with other tests.
const LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until `look` sees what it looks for, and returns that.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + LIMIT;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "waited {} s in vain until {what}", LIMIT.as_secs());
        tokio::time::sleep(PAUSE).await;
    }
}
