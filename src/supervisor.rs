//! Watches the tasks that a process cannot do without: if one of them panics or ends early, the process stops in order,
//! as after SIGTERM, and names the reason. It does not restart tasks: a supervisor of the system restarts the process.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};

use futures_util::FutureExt as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Clones share the reason and the stop.
#[derive(Debug, Clone, Default)]
pub struct Supervisor {
    stop: CancellationToken,
    failure: Arc<OnceLock<String>>,
}

impl Supervisor {
    /// `stop` begins an orderly stop, whoever cancels it.
    pub fn new(stop: CancellationToken) -> Self {
        Self { stop, failure: Arc::default() }
    }

    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Why the process stops, if a task of it failed.
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// For a task that may end at any time, but not by a panic.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.watch(name, task, false)
    }

    /// For a task that may end only after the stop has begun.
    pub fn spawn_lasting(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.watch(name, task, true)
    }

    fn watch(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
        must_last: bool,
    ) -> JoinHandle<()> {
        let supervisor = self.clone();
        tokio::spawn(async move {
            let ended = supervisor.guard(name, task).await;
            if ended.is_some() && must_last && !supervisor.stop.is_cancelled() {
                supervisor.fail(format!("{name} ended"));
            }
        })
    }

    /// Runs a part of a task; `None` if it panics, which stops the process.
    pub async fn guard<T>(&self, name: &'static str, part: impl Future<Output = T>) -> Option<T> {
        // What it shared with others is only used for the stop after a panic.
        let ended = AssertUnwindSafe(part).catch_unwind().await;
        ended.map_err(|panic| self.fail(format!("{name} panicked: {}", message(panic.as_ref())))).ok()
    }

    /// The first reason counts; later ones follow from it.
    pub fn fail(&self, reason: String) {
        tracing::error!(reason, "the process stops: it cannot work without this task");
        let _later = self.failure.set(reason);
        self.stop.cancel();
    }
}

/// What a panic said.
pub fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_stops_the_process_and_the_first_reason_is_kept() {
        let supervisor = Supervisor::default();
        supervisor.spawn("the look-up", async { panic!("out of {}", "bounds") }).await.unwrap();
        assert!(supervisor.stop().is_cancelled());
        assert_eq!(supervisor.failure(), Some("the look-up panicked: out of bounds"));
        supervisor.spawn_lasting("another", async { panic!("later") }).await.unwrap();
        assert_eq!(supervisor.failure(), Some("the look-up panicked: out of bounds"));
    }

    #[tokio::test]
    async fn only_a_task_that_must_last_stops_the_process_by_ending_and_only_before_the_stop() {
        let supervisor = Supervisor::default();
        supervisor.spawn("a short one", async {}).await.unwrap();
        assert!(!supervisor.stop().is_cancelled() && supervisor.failure().is_none());
        supervisor.spawn_lasting("the writer", async {}).await.unwrap();
        assert_eq!(supervisor.failure(), Some("the writer ended"));

        let stopping = Supervisor::default();
        stopping.stop().cancel();
        stopping.spawn_lasting("the writer", async {}).await.unwrap();
        assert_eq!(stopping.failure(), None);
    }
}
