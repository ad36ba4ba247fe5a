//! The ledger: what was accepted has arrived, or the database still has it.

use std::fmt;

use crate::failure::Failure;
use crate::receiver::Receiver;

/// Deliveries, counted.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Deliveries that a 202 promised.
    pub(crate) accepted: usize,
    /// Different ones that arrived.
    pub(crate) delivered: usize,
    /// Those that the database still has, or of which it says how they ended.
    pub(crate) outstanding: usize,
    /// Arrivals of what had arrived before.
    pub(crate) duplicated: usize,
    /// Arrivals of what nobody sent.
    pub(crate) unexpected: usize,
    /// Whether a worker was killed, so that a delivery may arrive twice.
    pub(crate) may_repeat: bool,
}

impl Ledger {
    /// The ledger of these receivers.
    pub(crate) fn of<'a>(receivers: impl IntoIterator<Item = &'a Receiver>) -> Self {
        let mut ledger = Self::default();
        for receiver in receivers {
            ledger.add(receiver);
        }
        ledger
    }

    /// Adds what another receiver got.
    pub(crate) fn add(&mut self, receiver: &Receiver) {
        let books = receiver.books();
        self.accepted += books.accepted;
        self.delivered += books.delivered;
        self.duplicated += books.duplicated;
        self.unexpected += books.unexpected;
    }

    /// Adds another ledger.
    pub(crate) fn join(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.delivered += other.delivered;
        self.outstanding += other.outstanding;
        self.duplicated += other.duplicated;
        self.unexpected += other.unexpected;
        self.may_repeat |= other.may_repeat;
    }

    /// Deliveries that nobody has any more; negative where there are more than were accepted.
    fn lost(&self) -> i128 {
        self.accepted as i128 - self.delivered as i128 - self.outstanding as i128
    }

    /// Whether it closes.
    ///
    /// # Errors
    /// [`Failure`] where a delivery is lost, came out of nowhere, or came twice for no reason.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let is_closed = self.lost() == 0 && self.unexpected == 0 && (self.may_repeat || self.duplicated == 0);
        if is_closed { Ok(()) } else { Err(Failure::new("the ledger does not close")) }
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accepted, delivered, outstanding, duplicated, unexpected, .. } = self;
        write!(f, "Ledger: accepted {accepted} = delivered {delivered}")?;
        if *outstanding > 0 {
            write!(f, " + outstanding {outstanding}")?;
        }
        write!(f, " + lost {}; duplicated {duplicated}, unexpected {unexpected}.", self.lost())
    }
}
