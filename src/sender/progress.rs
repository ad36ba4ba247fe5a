//! How far the opening of a connection has come: what a timeout means depends on it.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::time::Instant;
use uuid::Uuid;

use super::local_fault::{Cause, LocalFault};
use crate::domain::id::TenantId;
use crate::domain::outcome::Outcome;

tokio::task_local! {
    /// Of the running task: hyper-util passes only the URI to a connector.
    pub(super) static PROGRESS: Arc<Progress>;
}

#[derive(Debug)]
pub(super) struct Progress {
    pub(super) tenant: TenantId,
    /// End of the attempt.
    pub(super) deadline: Option<Instant>,
    step: AtomicU8,
    dialled: OnceLock<IpAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// TLS, request, response; also if an idle connection was used.
    Exchange,
    WaitsForLookup,
    Lookup,
    Connect,
}

impl Default for Progress {
    fn default() -> Self {
        Self::new(Uuid::nil().into(), None)
    }
}

impl Progress {
    pub(super) fn new(tenant: TenantId, deadline: Option<Instant>) -> Self {
        Self { tenant, deadline, step: AtomicU8::new(Step::Exchange as u8), dialled: OnceLock::new() }
    }

    pub(super) fn enter(&self, step: Step) {
        self.step.store(step as u8, Ordering::Release);
    }

    pub(super) fn connected(&self, address: IpAddr) {
        let _first = self.dialled.set(address);
        self.enter(Step::Exchange);
    }

    /// The connected address, also if TLS fails on it.
    pub(super) fn dialled(&self) -> Option<IpAddr> {
        self.dialled.get().copied()
    }

    /// What a timeout now means, if no connection was used.
    pub(super) fn timed_out(&self) -> Cause {
        const WAITS: u8 = Step::WaitsForLookup as u8;
        const LOOKUP: u8 = Step::Lookup as u8;
        const CONNECT: u8 = Step::Connect as u8;
        match self.step.load(Ordering::Acquire) {
            WAITS => Cause::Local(LocalFault::Lookups),
            LOOKUP => Outcome::DnsTimeout.into(),
            CONNECT => Outcome::ConnectTimeout.into(),
            _ => Outcome::Timeout.into(),
        }
    }
}
