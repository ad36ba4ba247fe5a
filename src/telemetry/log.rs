//! The log on standard error. Its level can be changed while the process runs.

use std::time::Duration;

use prometheus::IntCounter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, reload};

use super::lines::Lines;

/// Without a user's filter. postrider logs each migration itself.
const DEFAULT_FILTER: &str = "info,refinery_core=warn";
/// Applied after the user's filter: at debug level the driver logs parameters, which include payloads.
const DRIVER_FILTERS: [&str; 3] = ["tokio_postgres=warn", "deadpool.postgres=error", "hyper_util=info"];
/// For the last lines of a process.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Standard error, through a thread: see [`Lines`].
#[derive(Clone)]
pub struct Log(Lines);

/// Changes what is logged.
pub struct LogFilter(reload::Handle<EnvFilter, Registry>);

impl Log {
    pub fn open() -> Self {
        Self(Lines::to(std::io::stderr(), Self::dropped_counter()))
    }

    pub(super) fn dropped_counter() -> IntCounter {
        let help = "Log lines that could not be written, or that nobody read in time.";
        IntCounter::new(super::LOG_LINES_DROPPED, help).expect("the name is a constant of the right form")
    }

    /// An invalid filter falls back to `info`. Panics are logged from now on, not printed.
    pub fn start(&self, filter: Option<&str>, as_json: bool) -> LogFilter {
        let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
        let (filter, handle) = reload::Layer::new(env_filter(filter));
        let lines = self.0.clone();
        let layer = tracing_subscriber::fmt::layer()
            .log_internal_errors(false)
            .with_ansi(colours)
            .with_writer(move || lines.clone());
        let registry = tracing_subscriber::registry().with(filter);
        // Fails if logging was started before, as in tests.
        let _ = if as_json { registry.with(layer.json()).try_init() } else { registry.with(layer).try_init() };
        std::panic::set_hook(Box::new(log_panic));
        LogFilter(handle)
    }

    /// For messages that are not part of the log.
    pub fn say(&self, message: &str) {
        self.write(&format!("postrider: {message}\n"));
    }

    pub fn write(&self, text: &str) {
        self.0.push(text.as_bytes());
    }

    /// Call it before the process ends.
    pub fn flush(&self) {
        self.0.flush(LAST_LINES);
    }

    pub fn dropped(&self) -> &IntCounter {
        self.0.dropped()
    }
}

impl LogFilter {
    pub fn set(&self, filter: Option<&str>) {
        // Fails only after the log has ended.
        let _ended = self.0.reload(env_filter(filter));
    }
}

fn env_filter(filter: Option<&str>) -> EnvFilter {
    let filter =
        EnvFilter::try_new(filter.unwrap_or(DEFAULT_FILTER)).unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    DRIVER_FILTERS.iter().fold(filter, |filter, directive| match directive.parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    })
}

/// The standard hook writes to standard error itself and waits for a full pipe.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("without a message");
    let location = panic.location().map(ToString::to_string);
    let backtrace = std::backtrace::Backtrace::capture();
    let backtrace = (backtrace.status() == std::backtrace::BacktraceStatus::Captured).then_some(backtrace);
    tracing::error!(location, backtrace = backtrace.map(tracing::field::display), "panicked: {message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_never_logged_is_a_filter_that_can_be_read() {
        for directive in DRIVER_FILTERS {
            assert!(directive.parse::<tracing_subscriber::filter::Directive>().is_ok(), "{directive}");
        }
    }
}
