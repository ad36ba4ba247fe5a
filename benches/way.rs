//! A way an event can take, loaded in slices that alternate with those of other ways: whatever
//! else the machine does meets all of them.

use std::fmt;

use crate::failure::Failure;
use crate::load::Producer;
use crate::meter::{Meter, Spent};
use crate::sink::Sink;
use crate::{Bench, RECORDED};

/// One way, and what its deliveries have cost so far.
pub(crate) struct Way {
    producer: Producer,
    /// Events of a slice.
    slice: usize,
    /// Number of the next event.
    next: usize,
    spent: Spent,
}

/// What a delivery of a way costs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// CPU of the service, in µs.
    service: f64,
    /// CPU of PostgreSQL, in µs.
    postgres: f64,
    /// WAL, in bytes.
    wal: f64,
}

impl Way {
    /// What this producer sends, so many events at a time.
    pub(crate) fn new(producer: Producer, slice: usize) -> Self {
        Self { producer, slice, next: 0, spent: Spent::default() }
    }

    /// A slice that nothing is measured of.
    pub(crate) async fn warm_up(&mut self, bench: &Bench) -> Result<(), Failure> {
        let events = self.next..self.next + self.slice;
        self.next = events.end;
        bench.flood(&self.producer, events).await?;
        Ok(())
    }

    /// The next slice; returns what a delivery of it cost.
    pub(crate) async fn slice(&mut self, bench: &Bench, meter: &Meter) -> Result<Cost, Failure> {
        let events = self.next..self.next + self.slice;
        self.next = events.end;
        let deliveries = self.producer.sink.owed(&events);
        let before = meter.read().await?;
        let (_, took) = bench.flood(&self.producer, events).await?;
        tokio::time::sleep(RECORDED).await;
        let spent = meter.read().await?.since(&before, deliveries, took);
        self.spent += spent;
        Ok(Cost::of(&spent))
    }

    /// What a delivery has cost in all slices.
    pub(crate) fn cost(&self) -> Cost {
        Cost::of(&self.spent)
    }

    /// Deliveries of all slices that were measured.
    pub(crate) fn deliveries(&self) -> f64 {
        self.spent.events
    }

    /// Where its deliveries arrive.
    pub(crate) fn sink(&self) -> &Sink {
        &self.producer.sink
    }
}

impl Cost {
    /// Of each delivery of a slice, or of several.
    pub(crate) fn of(spent: &Spent) -> Self {
        let (service, postgres) = spent.micros();
        Self { service, postgres, wal: spent.wal_bytes / spent.events }
    }

    /// CPU and WAL as multiples of another cost.
    pub(crate) fn ratios(&self, other: &Self) -> (f64, f64) {
        ((self.service + self.postgres) / (other.service + other.postgres), self.wal / other.wal)
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, postgres, wal } = self;
        write!(f, "{:>6.1} µs = postrider {service:.1} + PostgreSQL {postgres:.1}   {wal:.0} B", service + postgres)
    }
}
