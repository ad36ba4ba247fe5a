//! Turns SIGTERM and ctrl-c into one cancellation token. A second signal ends the process at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Shells report 128 + 2 (SIGINT) for an interrupted process.
const IMPATIENT: i32 = 130;

pub fn on_signals() -> std::io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stopping = token.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        next().await;
        tracing::info!("stopping: finishing requests in flight; a second signal stops at once");
        stopping.cancel();
        next().await;
        std::process::exit(IMPATIENT);
    });
    Ok(token)
}
