//! How far the opening of a connection has come, and when: what a timeout means depends on it.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::local_fault::{Cause, LocalFault};
use crate::domain::detail::{Micros, Parts};
use crate::domain::id::TenantId;
use crate::domain::outcome::Outcome;

tokio::task_local! {
    /// Of the running task: hyper-util passes only the URI to a connector.
    pub(super) static PROGRESS: Arc<Progress>;
}

#[derive(Debug)]
pub(super) struct Progress {
    pub(super) tenant: TenantId,
    started: Instant,
    /// End of the attempt.
    pub(super) deadline: Option<Instant>,
    step: AtomicU8,
    dialled: OnceLock<IpAddr>,
    /// When each mark was reached, in microseconds from the start; 0: not yet.
    marks: [AtomicU32; 4],
}

#[derive(Debug, Clone, Copy)]
enum Mark {
    LookupBegan,
    ConnectBegan,
    Connected,
    Secured,
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
        Self::new(Uuid::nil().into(), Instant::now(), None)
    }
}

impl Progress {
    pub(super) fn new(tenant: TenantId, started: Instant, deadline: Option<Instant>) -> Self {
        let (step, dialled) = (AtomicU8::new(Step::Exchange as u8), OnceLock::new());
        Self { tenant, started, deadline, step, dialled, marks: Default::default() }
    }

    pub(super) fn enter(&self, step: Step) {
        match step {
            Step::WaitsForLookup => self.mark(Mark::LookupBegan),
            Step::Connect => self.mark(Mark::ConnectBegan),
            Step::Lookup | Step::Exchange => {}
        }
        self.step.store(step as u8, Ordering::Release);
    }

    pub(super) fn connected(&self, address: IpAddr) {
        let _first = self.dialled.set(address);
        self.mark(Mark::Connected);
        self.enter(Step::Exchange);
    }

    /// The TLS handshake is complete.
    pub(super) fn secured(&self) {
        self.mark(Mark::Secured);
    }

    fn mark(&self, mark: Mark) {
        if let Some(reached) = self.marks.get(mark as usize) {
            reached.store(micros(self.started.elapsed()).max(1), Ordering::Release);
        }
    }

    fn reached(&self, mark: Mark) -> Option<u32> {
        self.marks.get(mark as usize).map(|at| at.load(Ordering::Acquire)).filter(|at| *at > 0)
    }

    /// The parts of an attempt that took `total`. A step that was not completed lasts to the end.
    pub(super) fn parts(&self, is_https: bool, first_byte: Option<Instant>, total: Duration) -> Parts {
        let end = micros(total);
        let part = |from: Option<u32>, to: Option<u32>| from.map(|from| Micros(to.unwrap_or(end).saturating_sub(from)));
        let [lookup, connect, connected] =
            [Mark::LookupBegan, Mark::ConnectBegan, Mark::Connected].map(|mark| self.reached(mark));
        let secured = self.reached(Mark::Secured);
        let opened = secured.or(connected);
        Parts {
            dns_ms: part(lookup, connect),
            connect_ms: part(connect, connected),
            tls_ms: part(connected.filter(|_| is_https), secured),
            ..self.parts_of_open(opened.unwrap_or(0), first_byte, total)
        }
    }

    /// The same on a connection that was open before.
    pub(super) fn parts_of_reused(&self, first_byte: Option<Instant>, total: Duration) -> Parts {
        self.parts_of_open(0, first_byte, total)
    }

    fn parts_of_open(&self, opened: u32, first_byte: Option<Instant>, total: Duration) -> Parts {
        let heard = first_byte.map(|at| micros(at.saturating_duration_since(self.started)).saturating_sub(opened));
        Parts { first_byte_ms: heard.map(Micros), total_ms: Some(Micros(micros(total))), ..Parts::default() }
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

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}
