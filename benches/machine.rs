//! How busy the machine was with something else while a scenario ran: where it was, only
//! counts and ratios of slices in turn can be believed.

use std::time::Instant;

use crate::meter::{children_of, ticks};

/// CPU at one moment.
pub(crate) struct Machine {
    at: Instant,
    postmaster: u32,
    /// Of all processes, in clock ticks.
    busy: u64,
    /// Of this process, of what it started, and of PostgreSQL, in clock ticks.
    own: u64,
}

impl Machine {
    /// The CPU until now.
    pub(crate) fn now(postmaster: u32) -> Self {
        Self { at: Instant::now(), postmaster, busy: busy_ticks(), own: own_ticks(postmaster) }
    }

    /// Cores that others kept busy since then, on average.
    pub(crate) fn others(&self) -> f64 {
        let now = Self::now(self.postmaster);
        let others = (now.busy - self.busy).saturating_sub(now.own.saturating_sub(self.own));
        others as f64 / rustix::param::clock_ticks_per_second() as f64 / (now.at - self.at).as_secs_f64()
    }

    /// Cores of this machine.
    pub(crate) fn cores() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }
}

/// Of all processes: user, nice, system, irq and softirq time of the first line.
fn busy_ticks() -> u64 {
    const COLUMNS: [usize; 5] = [0, 1, 2, 5, 6];
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let columns: Vec<u64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    COLUMNS.iter().filter_map(|column| columns.get(*column)).sum()
}

fn own_ticks(postmaster: u32) -> u64 {
    let this = std::process::id();
    [this, postmaster]
        .into_iter()
        .flat_map(|parent| std::iter::once(parent).chain(children_of(parent)))
        .map(ticks)
        .sum()
}
