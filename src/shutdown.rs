//! Turns SIGTERM and ctrl-c into one cancellation token. A second signal ends the process at once. A hangup either stops
//! too or does what the caller says.

use tokio::signal::unix::{SignalKind, signal};

use crate::supervisor::Supervisor;

/// Shells report 128 + 2 (SIGINT) for an interrupted process.
const IMPATIENT: i32 = 130;

/// What SIGHUP does.
pub enum OnHangup {
    /// For a command that belongs to a terminal, which may be closed.
    Stop,
    /// For a service.
    Call(Box<dyn Fn() + Send + Sync>),
}

pub fn on_signals(hangup: OnHangup) -> std::io::Result<Supervisor> {
    let supervisor = Supervisor::default();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hung_up = signal(SignalKind::hangup())?;
    let stopping = supervisor.stop().clone();
    let mut next = async move || {
        loop {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = interrupt.recv() => return,
                _ = hung_up.recv() => match &hangup {
                    OnHangup::Stop => return,
                    OnHangup::Call(call) => call(),
                },
            }
        }
    };
    supervisor.spawn_lasting("the task of signals", async move {
        next().await;
        tracing::info!("stopping: finishing requests in flight; a second signal stops at once");
        stopping.cancel();
        next().await;
        std::process::exit(IMPATIENT);
    });
    Ok(supervisor)
}
